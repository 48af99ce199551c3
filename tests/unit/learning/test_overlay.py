"""An overlay is used only by the device that learned it, with the model it was learned for, and if it is sane."""

import hashlib
import hmac
import os
import stat

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emtc_agent.learning.device_key import DeviceKey
from emtc_agent.learning.overlay import FORMAT, MAX_OVERLAY_BYTES, Overlay, load_overlay, save_overlay
from emtc_agent.learning.trial import Figures
from emtc_contract.errors import BundleError, InputError
from site_windows import shipped

BUNDLE = shipped()
ARTIFACT = BUNDLE.manifest.artifacts[0]
FIGURES = Figures(0.05, 0.01, 0.001, 0, 0.0, 3.0)


def overlay(**changes):
    values = {
        "format": FORMAT,
        "bundle": BUNDLE.manifest.name,
        "bundle_version": BUNDLE.manifest.version,
        "model_sha256": ARTIFACT.sha256,
        "schema_digest": BUNDLE.manifest.schema_digest,
        "learned": "2026-11-28T10:00:00.000Z",
        "seconds": 3_600.0,
        "windows": 5_000,
        "endpoints": 7,
        "trusted": False,
        "threshold": 90.0,
        "scores": (1.0, 20.0, 90.0, 400.0),
        "shares": (1.0, 0.5, 0.01, 1e-9),
        "weights": {"remotes": 0.25},
        "before": FIGURES,
        "after": FIGURES,
    }
    return Overlay(**values | changes)


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return DeviceKey.made(tmp_path_factory.mktemp("device") / "device.key")


def test_what_is_saved_is_loaded(tmp_path, key):
    save_overlay(tmp_path / "o", overlay(), key)
    loaded = load_overlay(tmp_path / "o", key, BUNDLE, ARTIFACT)
    assert loaded == overlay()
    site = loaded.recalibration(BUNDLE.schema.columns)
    assert site.weights[BUNDLE.schema.index("remotes")] == 0.25
    assert np.sum(site.weights != 1) == 1


def test_the_signature_is_the_hmac_of_the_first_line(tmp_path, key):
    save_overlay(tmp_path / "o", overlay(), key)
    body, seal = (tmp_path / "o").read_bytes().splitlines()
    secret = key.path.read_bytes()
    expected = hmac.new(secret, b"emtc-guard overlay\0" + body, hashlib.sha256).hexdigest()
    assert msgspec.json.decode(seal) == {"hmac_sha256": expected}


@settings(max_examples=60)
@given(st.data())
def test_any_damage_is_refused(tmp_path_factory, key, data):
    path = tmp_path_factory.mktemp("damaged") / "o"
    save_overlay(path, overlay(), key)
    raw = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        raw[data.draw(st.integers(0, len(raw) - 3))] ^= 1 << data.draw(st.integers(0, 4))
    else:
        raw = raw[: data.draw(st.integers(0, len(raw) - 4))]
    path.write_bytes(raw)
    try:
        loaded = load_overlay(path, key, BUNDLE, ARTIFACT)
    except BundleError:
        return
    assert loaded == overlay()  # hex digits in capitals are the same signature


def test_another_devices_overlay_is_refused(tmp_path, key):
    save_overlay(tmp_path / "o", overlay(), DeviceKey.made(tmp_path / "device.key"))
    with pytest.raises(BundleError, match="not learned by the device"):
        load_overlay(tmp_path / "o", key, BUNDLE, ARTIFACT)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bundle_version": 1}, "version 1, in use is .* learn again"),
        ({"bundle": "other"}, "learned for other"),
        ({"model_sha256": "0" * 64}, "another model"),
        ({"schema_digest": "sha256:00"}, "other features"),
        ({"format": 9}, "format 9"),
        ({"scores": (1.0, 0.5, 90.0, 400.0)}, "do not ascend"),
        ({"scores": (1.0, 2.0)}, "2 scores and 4 shares"),
        ({"scores": (1.0,), "shares": (1.0,)}, "1 scores"),
        ({"shares": (1.0, 0.5, 0.6, 1e-9)}, "do not fall"),
        ({"shares": (1.5, 0.5, 0.01, 1e-9)}, "outside 0..1"),
        ({"shares": (1.0, 0.5, 0.01, 0.0)}, "outside 0..1"),
        ({"threshold": 0.0}, "threshold of 0"),
        ({"threshold": -3.0}, "threshold of -3"),
        ({"weights": {"remotes": 1.5}}, "weights outside"),
        ({"weights": {"remotes": 0.001}}, "weights outside"),
        ({"weights": {"no such": 0.5}}, "no feature"),
    ],
)
def test_what_does_not_fit_or_is_absurd_is_refused_although_it_is_signed(tmp_path, key, changes, said):
    save_overlay(tmp_path / "o", overlay(**changes), key)
    with pytest.raises(BundleError, match=said):
        load_overlay(tmp_path / "o", key, BUNDLE, ARTIFACT)


@pytest.mark.parametrize("literal", [b"1e999", b"null", b'"x"', b"NaN"])
def test_numbers_that_are_none_are_refused(tmp_path, key, literal):
    body = msgspec.json.encode(overlay()).replace(b'"scores":[1.0,20.0', b'"scores":[1.0,' + literal)
    assert literal in body
    seal = msgspec.json.encode({"hmac_sha256": key.mac(body, "emtc-guard overlay").hex()})
    (tmp_path / "o").write_bytes(body + b"\n" + seal + b"\n")
    with pytest.raises(BundleError):
        load_overlay(tmp_path / "o", key, BUNDLE, ARTIFACT)


def test_large_and_missing_files(tmp_path, key):
    (tmp_path / "large").write_bytes(b" " * (MAX_OVERLAY_BYTES + 1))
    with pytest.raises(BundleError, match="larger"):
        load_overlay(tmp_path / "large", key, BUNDLE, ARTIFACT)
    with pytest.raises(InputError, match="No such file"):
        load_overlay(tmp_path / "none", key, BUNDLE, ARTIFACT)


def test_a_key_is_made_once_and_is_private(tmp_path):
    path = tmp_path / "device.key"
    first = DeviceKey.made(path).mac(b"x", "y")
    assert DeviceKey.made(path).mac(b"x", "y") == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(InputError, match="others may read"):
        DeviceKey(path)


def test_a_broken_or_missing_key_is_told(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        DeviceKey(tmp_path / "device.key")
    path = tmp_path / "short"
    os.close(os.open(path, os.O_CREAT, 0o600))
    with pytest.raises(InputError, match="not a device key"):
        DeviceKey.made(path)
