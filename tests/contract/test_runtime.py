"""What every inference runtime must do, whatever it is."""

import numpy as np
import pytest

from emtc_agent.detector import open_runtime
from models import benign_rows


@pytest.fixture(params=["onnxruntime"])
def runtime(request, bundle):
    opened = open_runtime(bundle)
    assert opened.name == request.param
    return opened


@pytest.mark.parametrize("rows", [0, 1, 7, 5_000])
def test_any_number_of_rows(runtime, rows):
    features = np.resize(benign_rows(3), (rows, 59)).astype(np.float32)
    scores = runtime.run(features)
    assert scores.score.shape == (rows,)
    assert scores.errors.shape == (rows, 59)
    assert len(scores.latent) == rows


def test_a_row_scores_the_same_in_any_company(runtime):
    rows = benign_rows(4, 64)
    together = runtime.run(rows).score
    alone = np.concatenate([runtime.run(rows[at : at + 1]).score for at in range(len(rows))])
    np.testing.assert_allclose(alone, together, rtol=1e-5)


def test_the_score_is_the_mean_of_the_errors(runtime):
    scores = runtime.run(benign_rows(5))
    np.testing.assert_allclose(scores.errors.mean(axis=1), scores.score, rtol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, 1e9])
def test_values_no_extractor_gives_are_unusual_and_finite(runtime, value):
    rows = np.full((3, 59), value, np.float32)
    scores = runtime.run(rows)
    assert np.isfinite(scores.score).all()
    assert (scores.score > runtime.artifact.threshold).all()
