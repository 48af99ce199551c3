"""Scores become p-values and verdicts; a flood is sampled; reasons name what stands out."""

import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emtc_agent.detector import Scorer, explain, open_runtime
from emtc_agent.detector.calibration import p_values, table
from emtc_agent.windows.windows import empty_windows
from rows import benign_rows


def windows_of(features, *, slot=0, last_us=None):
    """Windows of one endpoint, one per second unless told otherwise."""
    rows = len(features)
    windows = empty_windows(features.shape[1])
    values = {name: np.zeros(rows, getattr(windows, name).dtype) for name in windows.__slots__ if name != "features"}
    values["slot"] = np.full(rows, slot, np.int32)
    values["kind"] = np.full(rows, 2, np.uint8)
    values["id_lo"] = np.full(rows, 0xFFFF_0A00_0001 + slot, np.uint64)
    values["last_us"] = np.arange(rows) * 1_000_000 if last_us is None else np.asarray(last_us)
    values["first_us"] = values["last_us"] - 1000
    return type(windows)(features=features.astype(np.float64), **values)


def scorer_of(bundle, **options):
    return Scorer(open_runtime(bundle), **options)


def test_p_values_fall_as_scores_rise_and_match_the_share_of_benign_rows(bundle, model):
    windows = windows_of(model.calibration)
    scored = scorer_of(bundle).score(windows)
    order = np.argsort(scored.score)
    assert (np.diff(scored.p_value[order]) <= 1e-12).all()
    for level in (0.5, 0.1, 0.05):
        assert abs((scored.p_value <= level).mean() - level) < 0.02
    assert scored.p_value.min() >= 1e-9


def test_few_benign_rows_exceed_and_strange_ones_do(bundle):
    benign = benign_rows(9)
    strange = benign.copy()
    strange[:, 10:20] += 50
    assert scorer_of(bundle).score(windows_of(benign)).exceeds.mean() < 0.2
    assert scorer_of(bundle).score(windows_of(strange)).exceeds.all()


def test_an_endpoint_is_scored_so_often_per_second_however_the_windows_arrive(bundle):
    rows = benign_rows(3, 40)
    last_us = np.repeat([1_000_000, 2_000_000], 20)
    whole, cut = scorer_of(bundle, max_per_second=16), scorer_of(bundle, max_per_second=16)
    assert whole.score(windows_of(rows, last_us=last_us)).index.tolist() == [*range(16), *range(20, 36)]
    counts = [
        len(cut.score(windows_of(rows[at : at + 7], last_us=last_us[at : at + 7])).index) for at in range(0, 40, 7)
    ]
    assert sum(counts) == 32
    assert whole.skipped == cut.skipped == 8


def test_endpoints_do_not_share_their_limit(bundle):
    rows = benign_rows(3, 16)
    scorer = scorer_of(bundle, max_per_second=16)
    same_second = np.full(16, 5_000_000)
    for slot in range(3):
        assert len(scorer.score(windows_of(rows, slot=slot, last_us=same_second)).index) == 16


def test_reasons_tell_what_lies_outside_and_usual_values_only_if_nothing_does(bundle):
    schema = bundle.schema
    features = np.array([bundle.manifest.usual[name].median for name in schema.columns])
    errors = np.ones(len(features), np.float32)
    errors[schema.index("remotes")] = 10
    errors[schema.index("udp_share")] = 30
    assert [reason.feature for reason in explain(features, errors, bundle)] == ["udp_share", "remotes"]
    features[schema.index("remotes")] = 900
    (only,) = explain(features, errors, bundle)
    assert (only.feature, only.value) == ("remotes", 900)
    assert 0.02 < only.share < 0.2
    assert msgspec.json.encode(only)


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=2000, unique=True))
def test_a_table_of_p_values_is_one(scores):
    values, shares = table(np.array(scores))
    assert len(values) == len(shares) >= 2
    assert all(a < b for a, b in itertools.pairwise(values))
    assert all(1 >= a >= b > 0 for a, b in itertools.pairwise(shares))


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=250, unique=True))
def test_few_scores_are_counted(scores):
    values, shares = table(np.array(scores))
    for value, p in zip(values, shares, strict=True):
        assert p == pytest.approx((1 + sum(score >= value for score in scores)) / (len(scores) + 1))


def test_the_tail_goes_on_as_a_power():
    """Scores of a power law get the p-values of that law, to a factor of three where one in 10,000 is."""
    scores = np.random.default_rng(1).pareto(2.0, 3000)
    far = np.array([5.0, 10.0, 30.0, 100.0])
    expected = (1 + far) ** -2.0
    assert np.abs(np.log(p_values(far, table(scores)) / expected)).max() < np.log(3)
