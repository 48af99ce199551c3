"""The exporter as people call it: build, verify, keygen, sign; and the agent that takes signed bundles only."""

import dataclasses
import json
import shutil

import msgspec
import pytest

from bundles import members, with_manifest, write
from emtc_export import incidents
from programs import assert_one_line_error, run
from support import ROOT

DEMO = ROOT / "lab" / "recordings" / "demo"
CAPTURE = DEMO / "capture.pcap.gz"


def test_verify_shows_every_gate_and_exits_zero(bundle_file, bundle):
    done = run("emtc-export", "verify", bundle_file)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    for artifact in bundle.manifest.artifacts:
        assert artifact.file in text
    assert "rank correlation" in text
    assert "NO" not in text


def test_verify_judges_by_labelled_recordings_too(bundle_file):
    plain = run("emtc-export", "verify", bundle_file).stdout
    done = run("emtc-export", "verify", bundle_file, "--data", DEMO)
    assert done.stdout.count(b"AUC") == 2 * plain.count(b"AUC") > 0
    assert b"alerts that differ" in done.stdout
    assert done.returncode == 0 or b"allowed" in done.stderr  # a network fitted for seconds may fail on real traffic
    assert_one_line_error(run("emtc-export", "verify", bundle_file, "--data", "none.csv"), "none.csv", code=2)


def test_incidents_that_differ_fail_the_gate(bundle):
    assert all(gate.holds for gate in incidents.measure(bundle, [CAPTURE]) if "int8" not in gate.file)
    deaf = tuple(
        msgspec.structs.replace(one, threshold=one.threshold * (100 if one.precision == "int8" else 1))
        for one in bundle.manifest.artifacts
    )
    changed = dataclasses.replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, artifacts=deaf))
    measured = incidents.measure(changed, [CAPTURE])
    assert {gate.file for gate in measured if not gate.holds} == {one.file for one in deaf if one.precision == "int8"}


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_verify_fails_when_a_threshold_was_tampered_with(bundle_file, tmp_path, precision):
    def loosen(manifest):
        for artifact in manifest["artifacts"]:
            artifact["threshold"] *= 5 if artifact["precision"] == precision else 1

    done = run("emtc-export", "verify", with_manifest(bundle_file, tmp_path / "loose.bundle", loosen))
    assert done.returncode == 2
    assert b"verdicts that differ" in done.stderr
    assert b"NO" in done.stdout


def test_verify_wants_the_rows_to_check(bundle_file, tmp_path):
    bare = with_manifest(bundle_file, tmp_path / "bare.bundle", lambda m: m["digests"].pop("check.npz"))
    write(bare, {name: octets for name, octets in members(bare).items() if name != "check.npz"})
    assert_one_line_error(run("emtc-export", "verify", bare), "bare.bundle", "check.npz", code=2)


def test_from_a_key_to_an_agent_that_takes_nothing_else(bundle_file, tmp_path):
    bundle = shutil.copy(bundle_file, tmp_path / "site.bundle")
    made = run("emtc-export", "keygen", tmp_path / "site", env={"EMTC_KEY_PASSWORD": "secret"})
    assert made.returncode == 0, made.stderr
    replay = ("replay", CAPTURE, "--json", "--bundle", bundle, "--bundle-key", tmp_path / "site.pub")
    assert_one_line_error(run("emtc-agent", *replay), "site.bundle", "not signed", code=2)
    wrong = run("emtc-export", "sign", bundle, "--key", tmp_path / "site.key", "--password", "guess")
    assert_one_line_error(wrong, "site.key", "password", code=2)
    signed = run("emtc-export", "sign", bundle, "--key", tmp_path / "site.key", env={"EMTC_KEY_PASSWORD": "secret"})
    assert signed.returncode == 0, signed.stderr
    assert run("emtc-export", "verify", bundle, "--key", tmp_path / "site.pub").returncode == 0
    replay = (*replay, "--bundle-state", tmp_path / "versions.json")
    assert run("emtc-agent", *replay).returncode == 0
    (tmp_path / "versions.json").write_text(json.dumps({"small": 9}))
    assert_one_line_error(run("emtc-agent", *replay), "small version 3 is older than 9", code=2)
    assert run("emtc-agent", *replay, "--allow-older").returncode == 0
