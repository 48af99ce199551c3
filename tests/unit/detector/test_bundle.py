"""A bundle is believed only if all of it is as its manifest says."""

import re
import shutil
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles import members, with_manifest, with_model, write
from emtc_agent.detector import load_bundle, open_runtime
from emtc_contract.bundle import MANIFEST, MAX_MODEL_BYTES
from emtc_contract.errors import BundleError, EmtcError, SchemaError


def test_a_good_bundle_loads_and_runs(bundle):
    assert bundle.manifest.name == "small"
    assert open_runtime(bundle, "onnxruntime").artifact.file == "model.onnx"


def test_a_changed_model_is_refused(bundle_file, tmp_path):
    content = members(bundle_file)
    model = bytearray(content["model.onnx"])
    model[len(model) // 2] ^= 1
    with pytest.raises(BundleError, match=r"model\.onnx does not match its digest"):
        load_bundle(write(tmp_path / "b", content | {"model.onnx": bytes(model)}))


def test_a_model_of_another_length_is_refused(bundle_file, tmp_path):
    content = members(bundle_file)
    for other in (content["model.onnx"][:-1], content["model.onnx"] + b"x"):
        with pytest.raises(BundleError, match=r"model\.onnx"):
            load_bundle(write(tmp_path / "b", content | {"model.onnx": other}))


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda m: m.update(format=1), BundleError, "format 1"),
        (lambda m: m.update(open_level=0), BundleError, "open_level"),
        (lambda m: m.pop("open_level"), BundleError, "open_level"),
        (lambda m: m.update(schema_name="edge-v9"), SchemaError, "edge-v9"),
        (lambda m: m.update(schema_digest="sha256:0"), SchemaError, "expected edge-v1"),
        (lambda m: m.pop("usual"), BundleError, "usual"),
        (lambda m: m.pop("digests"), BundleError, "digests"),
        (lambda m: m["usual"].pop("packets"), BundleError, "packets"),
        (lambda m: m.update(surprise=1), BundleError, "surprise"),
        (lambda m: m["artifacts"][0].update(size_bytes=-1), BundleError, "size"),
        (lambda m: m["artifacts"][0].update(size_bytes=1 << 40), BundleError, "size"),
        (lambda m: m["artifacts"][0].update(file="../model.onnx"), BundleError, "no ../model.onnx"),
        (
            lambda m: m["artifacts"][0].update(calibration_scores=[2.0, 1.0], calibration_p=[1, 0.5]),
            BundleError,
            "ascend",
        ),
        (lambda m: m["artifacts"][0].update(calibration_p=[5.0]), BundleError, "calibration"),
        (lambda m: m["artifacts"][0].update(threshold="high"), BundleError, "threshold"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_with_the_reason(bundle_file, tmp_path, change, error, said):
    with pytest.raises(error, match=said):
        load_bundle(with_manifest(bundle_file, tmp_path / "b.bundle", change))


@pytest.mark.parametrize("raw", [b"{", b"", b"[]", b"\xff\xfe", b"[" * 200_000, b"null"])
def test_a_broken_manifest_is_refused(bundle_file, tmp_path, raw):
    with pytest.raises(BundleError, match=r"b\.bundle.*manifest\.json"):
        load_bundle(write(tmp_path / "b.bundle", members(bundle_file) | {MANIFEST: raw}))


def test_missing_parts_and_foreign_files_are_refused(bundle_file, tmp_path):
    content = members(bundle_file)
    del content["model.onnx"]
    with pytest.raises(BundleError, match=r"has no model\.onnx"):
        load_bundle(write(tmp_path / "b", content))
    (tmp_path / "text").write_text("hello")
    with pytest.raises(BundleError, match="not a readable zip"):
        load_bundle(tmp_path / "text")
    with pytest.raises(BundleError, match="No such file"):
        load_bundle(tmp_path / "missing")


def test_names_that_reach_elsewhere_and_hordes_of_members_are_refused(bundle_file, tmp_path):
    for name in ("../evil", "/etc/evil", ".hidden", "a\\b"):
        with pytest.raises(BundleError, match="not allowed"):
            load_bundle(write(tmp_path / "b", members(bundle_file) | {name: b"x"}))
    with pytest.raises(BundleError, match="members"):
        load_bundle(write(tmp_path / "b", {str(number): b"" for number in range(1000)}))


def test_a_model_that_is_no_model_is_refused(bundle_file, tmp_path):
    changed = with_model(bundle_file, tmp_path / "b", b"this is no onnx file")
    with pytest.raises(BundleError, match="onnxruntime cannot load it"):
        open_runtime(load_bundle(changed), "onnxruntime")


def test_a_changed_octet_of_any_member_names_that_member(bundle_file, tmp_path):
    """Of the manifest, only a signature tells: see test_signature.py."""
    for name, octets in members(bundle_file).items():
        changed = bytearray(octets)
        changed[len(changed) // 2] ^= 1
        path = write(tmp_path / "b", members(bundle_file) | {name: bytes(changed)})
        if name != MANIFEST:
            with pytest.raises(BundleError, match=f"{re.escape(name)} does not match its digest"):
                load_bundle(path)


def test_members_that_the_manifest_does_not_know_are_refused(bundle_file, tmp_path):
    with pytest.raises(BundleError, match=r"the manifest does not know extra\.bin"):
        load_bundle(write(tmp_path / "b", members(bundle_file) | {"extra.bin": b"x"}))


@pytest.mark.parametrize("name", [MANIFEST, "model.onnx", "MODEL_CARD.md"])
def test_members_that_swell_are_not_unpacked(bundle_file, tmp_path, name):
    """300 MB of zeros in 300 kB: reading stops at the limit."""
    bomb = write(tmp_path / "bomb", members(bundle_file) | {name: bytes(300 << 20)})
    assert bomb.stat().st_size < 4 << 20
    tracemalloc.start()
    try:
        with pytest.raises(BundleError, match=name):
            load_bundle(bomb)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


def test_models_that_are_large_only_together_are_refused(bundle_file, tmp_path):
    def swell(manifest):
        for artifact in manifest["artifacts"]:
            artifact["size_bytes"] = MAX_MODEL_BYTES

    with pytest.raises(BundleError, match="models of more than"):
        load_bundle(with_manifest(bundle_file, tmp_path / "b", swell))


def test_a_file_without_end_is_not_read_to_its_end():
    with pytest.raises(BundleError, match="larger than"):
        load_bundle(Path("/dev/zero"))


@given(st.integers(0, 10**9), st.integers(0, 255))
def test_any_changed_octet_is_harmless_or_refused(bundle_file, tmp_path_factory, at, value):
    path = tmp_path_factory.mktemp("fuzz") / "b"
    shutil.copy(bundle_file, path)
    octets = bytearray(path.read_bytes())
    octets[at % len(octets)] = value
    path.write_bytes(octets)
    try:
        load_bundle(path)
    except EmtcError as error:
        assert str(path) in str(error)
