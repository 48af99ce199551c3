"""Which checks a gateway's settings ask for. The only place of the doctor that knows the settings."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from emtc_agent.assembling import shipped_bundle
from emtc_agent.daemon.parts import Place, credentials, ring_config
from emtc_agent.doctor.broker import BrokerTarget, check_broker, check_credentials
from emtc_agent.doctor.capabilities import check_capabilities
from emtc_agent.doctor.clock import check_clock, clock_state
from emtc_agent.doctor.disk import check_metrics_folder, check_state_folder
from emtc_agent.doctor.finding import Finding
from emtc_agent.doctor.interfaces import check_interface, check_ring
from emtc_agent.doctor.model import check_bundle, check_runtime
from emtc_agent.doctor.running import Check
from emtc_agent.report.broker import BrokerUrl
from emtc_agent.settings import Settings, load_settings
from emtc_agent.settings.model import Capture
from emtc_contract.errors import EmtcError

_FURTHER_BYTES = 32 << 20  # two bundles, the windows of a learning run, incidents


def plan(config: Path | None) -> list[Check]:
    """All checks for a settings file, or for the defaults; a file that is not valid is one of them."""
    if config is None:
        fix = "Name the settings file of this gateway: emtc-agent doctor --config FILE."
        finding = Finding("configuration", "warning", "no settings file was named: looking at the defaults", fix)
        return [_told(finding), *_machine(), *_checks(Settings(), Place(Path()))]
    try:
        settings = load_settings(config)
    except EmtcError as error:
        fix = "Correct it; `emtc-agent config sample` shows every setting."
        what = "not checked, for want of settings: interfaces, model, state folder, broker"
        broken = Finding("configuration", "problem", str(error), fix)
        skipped = Finding("everything else", "warning", what, "Correct the settings first.")
        return [_told(broken), *_machine(), _told(skipped)]
    valid = Finding("configuration", "ok", f"{config} is valid")
    return [_told(valid), *_machine(), *_checks(settings, Place(config.parent))]


def _told(finding: Finding) -> Check:
    return Check(finding.name, lambda: [finding])


def _machine() -> list[Check]:
    return [
        Check("capabilities", check_capabilities),
        Check("clock", lambda: check_clock(clock_state())),
    ]


def _checks(settings: Settings, place: Place) -> list[Check]:
    return [
        *_capture(settings.capture),
        *_model(settings, place),
        *_state(settings, place),
        *_broker(settings, place),
    ]


def _capture(capture: Capture) -> list[Check]:
    names = capture.interfaces
    if not names:
        fix = "Set interfaces in [capture]; `ip link` lists what there is."
        return [_told(Finding("interfaces", "problem", "none is set: there is nothing to watch", fix))]
    config = ring_config(capture)
    return [
        *(Check(f"interface {name}", partial(check_interface, name)) for name in names),
        *(Check(f"ring {name}", partial(check_ring, name, config, len(names))) for name in names),
    ]


def _model(settings: Settings, place: Place) -> list[Check]:
    model = settings.model
    bundle = place.find(model.bundle) if model.bundle else shipped_bundle()
    keys = [place.find(key) for key in model.keys] if model.bundle else []
    runtime = partial(check_runtime, bundle, keys, model.runtime, model.precision, model.threads)
    return [Check("bundle", partial(check_bundle, bundle, keys, shipped=not model.bundle)), Check("runtime", runtime)]


def _state(settings: Settings, place: Place) -> list[Check]:
    checks = []
    if settings.state.folder is None:
        what = "none is set: what waits for the link is lost at a restart"
        checks.append(_told(Finding("state folder", "warning", what, "Set folder in [state].")))
    else:
        # SQLite may hold everything twice for a while: in the file and in its log.
        needed_bytes = 2 * (settings.outbox.max_mib << 20) + _FURTHER_BYTES
        folder = place.find(settings.state.folder)
        checks.append(Check("state folder", partial(check_state_folder, folder, needed_bytes)))
    if settings.health.metrics_file is not None:
        file = place.find(settings.health.metrics_file)
        checks.append(Check("metrics file", partial(check_metrics_folder, file)))
    return checks


def _broker(settings: Settings, place: Place) -> list[Check]:
    broker = settings.broker
    if broker.url is None:
        return [_told(Finding("broker", "warning", "none is set: incidents reach nobody", "Set url in [broker]."))]
    url = BrokerUrl.parse(broker.url)
    target = BrokerTarget(url, credentials(broker, url, place), place.find_any(settings.state.folder))
    return [
        Check("credentials", lambda: check_credentials(target, time.time())),
        Check("broker", lambda: check_broker(target, time.time())),
    ]
