"""What every inference runtime must do, whatever it is; each one that is installed is judged, with every model."""

import hashlib
import itertools

import msgspec
import numpy as np
import pytest

from emtc_agent.detector import RUNTIMES, open_runtime
from emtc_contract.errors import BundleError, RuntimeMissingError
from rows import benign_rows

INSTALLED = [kind for kind in RUNTIMES if kind.installed]
WAYS = list(itertools.product(INSTALLED, ("fp32", "int8")))


@pytest.fixture(scope="module", params=WAYS, ids=[f"{kind.name}-{precision}" for kind, precision in WAYS])
def runtime(request, bundle):
    kind, precision = request.param
    opened = open_runtime(bundle, kind.name, precision)
    assert (opened.name, opened.artifact.runtime, opened.artifact.precision) == (kind.name, kind.form, precision)
    return opened


@pytest.mark.parametrize("rows", [0, 1, 7, 128, 129, 5_000])
def test_any_number_of_rows(runtime, rows):
    features = np.resize(benign_rows(3), (rows, 59)).astype(np.float32)
    scores = runtime.run(features)
    assert scores.score.shape == (rows,)
    assert scores.errors.shape == (rows, 59)
    assert scores.latent.shape == (rows, 16)
    assert {array.dtype for array in (scores.score, scores.errors, scores.latent)} == {np.dtype(np.float32)}


def test_a_row_scores_the_same_in_any_company(runtime):
    rows = benign_rows(4, 200)
    together = runtime.run(rows).score
    for size in (1, 5, 40):
        apart = np.concatenate([runtime.run(rows[at : at + size]).score for at in range(0, len(rows), size)])
        np.testing.assert_allclose(apart, together, rtol=1e-5)


def test_scores_are_the_callers_to_keep(runtime):
    first = runtime.run(benign_rows(5, 3))
    kept = first.errors.copy()
    runtime.run(benign_rows(6, 3))
    assert np.array_equal(first.errors, kept)


def test_rows_of_any_layout(runtime):
    rows = benign_rows(7, 6)
    for same in (np.asfortranarray(rows), np.repeat(rows, 2, axis=0)[::2]):
        assert np.array_equal(runtime.run(same).score, runtime.run(rows).score)


def test_the_score_is_half_the_errors_and_what_the_latent_space_adds(runtime):
    scores = runtime.run(benign_rows(5))
    half = scores.errors.sum(axis=1) / 2
    assert (scores.score >= half * (1 - 1e-4)).all()
    assert (scores.score > half).mean() > 0.9


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, 1e9])
def test_values_no_extractor_gives_are_unusual_and_finite(runtime, value):
    rows = np.full((3, 59), value, np.float32)
    scores = runtime.run(rows)
    assert np.isfinite(scores.score).all()
    assert (scores.score > runtime.artifact.threshold).all()


def test_denormal_values_are_zeros(runtime):
    denormal, zero = (np.full((1, 59), value, np.float32) for value in (1e-42, 0.0))
    np.testing.assert_allclose(runtime.run(denormal).score, runtime.run(zero).score, rtol=1e-5)


@pytest.mark.parametrize("junk", [b"", b"junk", b"\x18\0\0\0TFL3", bytes(3000)])
def test_a_model_that_is_no_model_is_refused_by_name(runtime, junk):
    artifact = runtime.artifact
    kind = next(kind for kind in RUNTIMES if kind.name == runtime.name)
    if kind.name == "tflite-runtime" and junk[4:8] == b"TFL3":
        pytest.skip("tflite-runtime crashes on files cut behind their head: digests keep such files away")
    with pytest.raises(BundleError, match=artifact.file):
        kind.load(junk, artifact, 59)


def test_a_model_for_other_rows_is_refused(runtime, bundle):
    kind = next(kind for kind in RUNTIMES if kind.name == runtime.name)
    with pytest.raises(BundleError, match=runtime.artifact.file):
        kind.load(bundle.models[runtime.artifact.file], runtime.artifact, 46)


def test_threads_change_nothing(runtime, bundle):
    kind = next(kind for kind in RUNTIMES if kind.name == runtime.name)
    two = kind.load(bundle.models[runtime.artifact.file], runtime.artifact, 59, threads=2)
    rows = benign_rows(8, 300)
    np.testing.assert_allclose(two.run(rows).score, runtime.run(rows).score, rtol=1e-5)


def test_fp32_is_taken_unless_told_otherwise(bundle):
    assert open_runtime(bundle).artifact.precision == "fp32"
    assert open_runtime(bundle, precision="int8").artifact.precision == "int8"


def test_a_form_the_bundle_lacks_is_passed_over_unless_wanted(bundle):
    preferred = open_runtime(bundle)
    others = tuple(one for one in bundle.manifest.artifacts if one.runtime != preferred.artifact.runtime)
    without = type(bundle)(
        bundle.name, msgspec.structs.replace(bundle.manifest, artifacts=others), bundle.schema, bundle.models
    )
    with pytest.raises(BundleError, match=f"holds no model for {preferred.name}"):
        open_runtime(without, preferred.name)
    if any(kind.installed and kind.form != preferred.artifact.runtime for kind in RUNTIMES):
        assert open_runtime(without).name != preferred.name


def test_runtimes_that_are_not_there_are_named(bundle):
    for missing in [kind.name for kind in RUNTIMES if not kind.installed]:
        with pytest.raises(RuntimeMissingError, match=f"{missing} is not installed"):
            open_runtime(bundle, missing)
    with pytest.raises(RuntimeMissingError, match="abacus"):
        open_runtime(bundle, "abacus")


def test_models_are_what_the_manifest_says(bundle):
    for artifact in bundle.manifest.artifacts:
        assert hashlib.sha256(bundle.models[artifact.file]).hexdigest() == artifact.sha256
