"""Export: the same model gives the same bundle; a gate that does not hold leaves nothing behind."""

import zipfile

import numpy as np
import onnx
import pytest
import torch

from emtc_agent.detector import RUNTIMES, load_bundle, open_runtime, read_member
from emtc_contract.bundle import CHECK_ROWS
from emtc_contract.errors import BundleError
from emtc_contract.schemas import get_schema
from emtc_export import check_rows, gates, tflite_model
from emtc_export.build import Label, build, rows_to_check
from emtc_export.check_rows import CheckRows
from emtc_export.rewrite import exportable
from emtc_trainer.autoencoder import Preset
from emtc_trainer.model import Detector
from emtc_trainer.training import score
from models import small_model
from rows import benign_rows

FILES = ["model.onnx", "model.int8.onnx", "model.tflite", "model.int8.tflite"]
needs_converter = pytest.mark.skipif(not tflite_model.installed(), reason="needs the export-tflite extra")

LABEL = Label("small", 3, "2026-01-01")


def test_the_same_model_gives_the_same_octets(model, bundle_file, tmp_path):
    build(model, tmp_path / "again.bundle", LABEL, lambda _: None, tflite=tflite_model.installed())
    assert (tmp_path / "again.bundle").read_bytes() == bundle_file.read_bytes()


def test_the_exported_model_scores_as_the_trained_one(model, bundle):
    rows = benign_rows(11)
    got = open_runtime(bundle).run(rows).score
    np.testing.assert_allclose(got, score(model.module, rows), rtol=check_rows.MAX_SCORE_DRIFT)


def test_thresholds_are_the_wanted_quantile_of_each_model(model, bundle):
    for kind in (kind for kind in RUNTIMES if kind.installed):
        for precision in ("fp32", "int8"):
            runtime = open_runtime(bundle, kind.name, precision)
            scores, threshold = runtime.run(model.calibration).score, runtime.artifact.threshold
            assert (scores > threshold).mean() <= 1 - model.quantile + 1e-9
            assert (scores >= threshold).mean() >= 1 - model.quantile - 1e-9
    assert len({artifact.threshold for artifact in bundle.manifest.artifacts}) > 1


def test_the_bundle_tells_where_it_comes_from(bundle_file, bundle):
    assert [(file.role, file.rows) for file in bundle.manifest.provenance.files] == [
        ("train", 400),
        ("calibrate", 400),
    ]
    with zipfile.ZipFile(bundle_file) as archive:
        card = archive.read("MODEL_CARD.md").decode()
    assert "train-1.csv" in card
    assert bundle.manifest.schema_digest in card
    assert "/tmp" not in card


def test_no_trace_of_the_machine_is_in_the_models(bundle):
    for content in bundle.models.values():
        for trace in (b"/home", b"site-packages", b"emtc_trainer", b"/tmp"):
            assert trace not in content


class Skewed:
    """A runtime that is off by a little."""

    def __init__(self, runtime, change):
        self.artifact, self.name = runtime.artifact, "skewed"
        self._runtime, self._change = runtime, change

    def run(self, features):
        scores = self._runtime.run(features)
        return type(scores)(self._change(scores.score), scores.errors, scores.latent)


def shuffled(score):
    return score[np.random.default_rng(0).permutation(len(score))]


@pytest.mark.parametrize(
    ("precision", "change", "said"),
    [
        ("fp32", lambda s: s * np.float32(1.001), "score drift"),
        ("fp32", lambda s: np.where(s > np.median(s), np.nan, s), "not finite"),
        ("fp32", lambda s: np.where(np.arange(len(s)) == 32, s * 2, s), "score drift"),
        ("fp32", lambda s: s if len(s) != 33 else s * 1.01, "batches"),
        ("int8", lambda s: s * np.float32(3), "verdicts that differ"),
        ("int8", lambda s: np.minimum(s, 30.0), "impossible rows"),
        ("int8", lambda s: np.sort(s), "rank correlation"),
        ("int8", shuffled, "AUC drop"),
    ],
)
def test_a_runtime_that_is_off_does_not_pass_the_gates(model, bundle, precision, change, said):
    skewed = Skewed(open_runtime(bundle, precision=precision), change)
    measured = gates.measure(skewed, rows_to_check(model))
    assert any(said in gate.name and not gate.holds for gate in measured)
    with pytest.raises(BundleError, match=rf"{skewed.artifact.file} in skewed: .* allowed"):
        gates.require(measured)


def test_good_models_pass_every_gate_in_every_runtime(model, bundle):
    measured = gates.of_bundle(bundle, rows_to_check(model))
    assert all(gate.holds for gate in measured)
    assert {gate.file for gate in measured} == {artifact.file for artifact in bundle.manifest.artifacts}


def test_the_rows_to_check_survive_their_file_and_hold_every_kind(model, bundle_file):
    check = rows_to_check(model)
    held = check_rows.decode(read_member(bundle_file, CHECK_ROWS), 59, "here")
    for name in ("rows", "kind", "score", "threshold"):
        np.testing.assert_array_equal(getattr(held, name), getattr(check, name))
    assert np.unique(held.kind).tolist() == [0, 1, 2, 3]
    flagged = held.score > held.threshold
    assert 0.1 < flagged[held.kind == check_rows.ATTACK].mean() < 0.99
    assert not np.isfinite(held.rows).all()


@pytest.mark.parametrize("raw", [b"", b"PK", b"junk" * 100])
def test_rows_to_check_that_are_none_are_refused(raw):
    with pytest.raises(BundleError, match="here: not readable"):
        check_rows.decode(raw, 59, "here")
    good = CheckRows(np.zeros((2, 46), np.float32), np.zeros(2, np.int64), np.zeros(2), 1.0).encode()
    with pytest.raises(BundleError, match=r"here: holds rows of shape \(2, 46\)"):
        check_rows.decode(good, 59, "here")


def test_a_gate_that_fails_leaves_no_bundle(model, tmp_path, monkeypatch):
    monkeypatch.setattr(gates, "MAX_FLIPS", -1.0)
    with pytest.raises(BundleError, match="verdicts that differ"):
        build(model, tmp_path / "b.bundle", LABEL, lambda _: None, tflite=False)
    assert list(tmp_path.iterdir()) == []


def test_only_the_wide_convolutions_are_quantized(bundle):
    """The transforms and the score hold for 1e9 and for 0.01 alike; 8 bits do not."""
    graph = onnx.load_from_string(bundle.models["model.int8.onnx"]).graph
    made_by = {output: node for node in graph.node for output in node.output}
    kinds = {made_by[node.input[0]].op_type for node in graph.node if node.op_type == "QuantizeLinear"}
    assert kinds <= {"Conv", "Relu", "Unsqueeze", "Reshape", "Transpose", "Pad"}
    in_float = [node for node in graph.node if node.op_type == "Conv" and node.input[1].endswith(".weight")]
    assert [node.input[1].split(".")[1] for node in in_float] == ["squeeze", "expand", "decoder"]


@pytest.mark.parametrize("features", [46, 59])
def test_transposed_convolutions_are_rewritten_into_equal_ones(features):
    torch.manual_seed(1)
    schema = {46: get_schema("ciciot2023-46"), 59: get_schema("edge-v1")}[features]
    module = Detector(schema, Preset((4, 6), 3, transposed=True)).eval()
    rewritten = exportable(module)
    assert not any(isinstance(layer, torch.nn.ConvTranspose1d) for layer in rewritten.modules())
    rows = np.random.default_rng(2).normal(0, 3, (50, features)).astype(np.float32)
    np.testing.assert_allclose(score(rewritten, rows), score(module, rows), rtol=1e-5)


@needs_converter
def test_the_papers_network_exports_to_every_form(tmp_path):
    """Its decoder has transposed convolutions; 0.8 M parameters."""
    model = small_model(preset="paper", epochs=1)
    manifest = build(model, tmp_path / "paper.bundle", LABEL, lambda _: None, tflite=True)
    assert [artifact.file for artifact in manifest.artifacts] == FILES
    sizes = {artifact.file: artifact.size_bytes for artifact in manifest.artifacts}
    assert sizes["model.int8.onnx"] < sizes["model.onnx"] / 3
    assert sizes["model.int8.tflite"] < sizes["model.tflite"] / 3


@needs_converter
def test_a_converter_that_fails_is_one_clear_error(model, monkeypatch):
    monkeypatch.setattr(tflite_model, "save_model", lambda path, _: path.write_bytes(b"none"))
    with pytest.raises(BundleError, match=r"the TFLite converter failed: .*not a model"):
        tflite_model.to_tflite(model)


def test_an_unwritable_target_is_an_error(model, tmp_path):
    with pytest.raises(BundleError, match="No such file"):
        build(model, tmp_path / "missing" / "b.bundle", LABEL, lambda _: None, tflite=False)


def test_a_bundle_is_loadable_by_the_agent(bundle_file):
    assert load_bundle(bundle_file).artifact("onnx").precision == "fp32"
