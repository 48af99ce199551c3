"""Export: the same model gives the same bundle; a gate that does not hold leaves nothing behind."""

import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emtc_agent.detector import load_bundle, open_runtime
from emtc_contract.errors import BundleError
from emtc_export import calibration, parity
from emtc_export.build import Label, build
from emtc_trainer.training import score
from models import benign_rows

LABEL = Label("small", 3, "2026-01-01")


def test_the_same_model_gives_the_same_octets(model, bundle_file, tmp_path):
    build(model, tmp_path / "again.bundle", LABEL, lambda _: None)
    assert (tmp_path / "again.bundle").read_bytes() == bundle_file.read_bytes()


def test_the_exported_model_scores_as_the_trained_one(model, bundle):
    rows = benign_rows(11)
    got = open_runtime(bundle).run(rows).score
    np.testing.assert_allclose(got, score(model.module, rows), rtol=parity.MAX_SCORE_DRIFT)


def test_the_threshold_is_the_wanted_quantile_of_the_exported_model(model, bundle):
    scores = open_runtime(bundle).run(model.calibration).score
    artifact = bundle.manifest.artifacts[0]
    assert (scores > artifact.threshold).mean() <= 1 - model.quantile + 1e-9
    assert (scores >= artifact.threshold).mean() >= 1 - model.quantile - 1e-9


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


def test_no_trace_of_the_machine_is_in_the_model(bundle):
    assert b"/home" not in bundle.models["model.onnx"]
    assert b"site-packages" not in bundle.models["model.onnx"]


class Skewed:
    """A runtime that is off by a little."""

    def __init__(self, runtime, change):
        self.artifact, self.name = runtime.artifact, "skewed"
        self._runtime, self._change = runtime, change

    def run(self, features):
        scores = self._runtime.run(features)
        return type(scores)(self._change(scores.score), scores.errors, scores.latent)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s * np.float32(1.001), "differ by"),
        (lambda s: np.where(s > np.median(s), np.nan, s), "not finite"),
        (lambda s: np.where(np.arange(len(s)) == 32, s * 2, s), "differ"),
        (lambda s: s[:1], "differ"),
    ],
)
def test_a_runtime_that_is_off_does_not_pass_the_gates(model, bundle, change, said):
    runtime = Skewed(open_runtime(bundle), change)
    with pytest.raises((BundleError, ValueError), match=said):
        parity.check(model.module, runtime, model.calibration, runtime.artifact.threshold)


def test_a_gate_that_fails_leaves_no_bundle(model, tmp_path, monkeypatch):
    monkeypatch.setattr(parity, "MAX_SCORE_DRIFT", -1.0)
    with pytest.raises(BundleError, match="differ"):
        build(model, tmp_path / "b.bundle", LABEL, lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_target_is_an_error(model, tmp_path):
    with pytest.raises(BundleError, match="No such file"):
        build(model, tmp_path / "missing" / "b.bundle", LABEL, lambda _: None)


@given(st.lists(st.floats(0, 1e6, width=32), min_size=2, max_size=2000))
def test_the_calibration_table_tells_shares(scores):
    values, p_values = calibration.table(np.array(scores))
    assert list(values) == sorted(set(values))
    assert list(p_values) == sorted(p_values, reverse=True)
    assert values[-1] == max(scores)
    assert min(p_values) > 0
    assert max(p_values) <= 1
    for value, p in zip(values, p_values, strict=True):
        assert p == pytest.approx((1 + sum(score >= value for score in scores)) / (len(scores) + 1))


def test_a_bundle_is_loadable_by_the_agent(bundle_file):
    assert load_bundle(bundle_file).artifact("onnx").precision == "fp32"
