"""Bundles and runtimes: what loads and scores here, also where native code ends its process."""

from importlib.resources import files
from pathlib import Path

import pytest

from emtc_agent.detector import RUNTIMES
from emtc_agent.doctor import worst
from emtc_agent.doctor.model import check_bundle, check_runtime
from emtc_export import signing

SHIPPED = Path(str(files("emtc_agent").joinpath("data/default.bundle")))


def test_the_shipped_bundle_is_good_and_an_unsigned_one_a_warning():
    assert [one.level for one in check_bundle(SHIPPED, shipped=True)] == ["ok"]
    assert [one.level for one in check_bundle(SHIPPED)] == ["ok", "warning"]


def test_a_signed_bundle_is_good_for_its_key_only(tmp_path):
    bundle = tmp_path / "site.bundle"
    bundle.write_bytes(SHIPPED.read_bytes())
    public, secret = signing.generate(tmp_path / "maker", "")
    signing.sign(bundle, secret, "")
    other, _ = signing.generate(tmp_path / "other", "")
    (good,) = check_bundle(bundle, [public])
    assert (good.level, "signed" in good.what) == ("ok", True)
    (bad,) = check_bundle(bundle, [other])
    assert (bad.level, "signed by another" in bad.what) == ("problem", True)


def test_a_damaged_or_missing_bundle(tmp_path):
    bundle = tmp_path / "site.bundle"
    octets = bytearray(SHIPPED.read_bytes())
    octets[len(octets) // 2] ^= 0xFF
    bundle.write_bytes(octets)
    for path in (bundle, tmp_path / "nothing.bundle"):
        (found,) = check_bundle(path)
        assert (found.level, path.name in found.what) == ("problem", True)
        (unusable,) = check_runtime(path)
        assert (unusable.level, path.name in unusable.what) == ("problem", True)


@pytest.mark.parametrize("kind", [kind for kind in RUNTIMES if kind.installed], ids=lambda kind: kind.name)
def test_the_runtime_that_scores_is_named(kind):
    (found,) = check_runtime(SHIPPED, name=kind.name)
    assert (found.level, found.what.startswith(f"{kind.name} fp32 scores")) == ("ok", True)


def test_without_a_runtime_it_says_how_to_get_one(monkeypatch):
    monkeypatch.setattr("emtc_agent.doctor.model.RUNTIMES", ())
    (found,) = check_runtime(SHIPPED)
    assert (found.level, "pip install" in found.fix) == ("problem", True)


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ends this process with SIGKILL"),
        ("raise ImportError('needs another libc')", "needs another libc"),
        ("raise RuntimeError('broken wheel')", "broken wheel"),
        ("import time; time.sleep(60)", "no score within"),
    ],
)
def test_a_runtime_that_does_not_run_here_is_a_finding(tmp_path, monkeypatch, code, what):
    """A package of a runtime's name that is found before the real one."""
    kind = RUNTIMES[0]
    package = tmp_path / kind.package
    package.mkdir()
    (package / "__init__.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("emtc_agent.doctor.model._RUN_TIMEOUT_S", 2.0)
    (found,) = check_runtime(SHIPPED, name=kind.name)
    assert (found.level, what in found.what) == ("problem", True), found
    assert worst([found]) == "problem"
