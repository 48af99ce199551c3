"""Metric code against the paper's own confusion matrix, and against definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emtc_trainer.metrics import Confusion, auc_pr, auc_roc, from_confusion, threshold_at

PAPER = Confusion(tn=2285, fp=128, fn=976, tp=99189)


@pytest.mark.parametrize(
    ("metric", "published"),
    [
        ("accuracy", 0.9892),
        ("precision", 0.9987),
        ("recall", 0.9903),
        ("f1", 0.9945),
        ("far", 0.0530),
        ("tnr", 0.9470),
        ("kappa", 0.8000),
        ("mcc", 0.8096),
        ("g_mean", 0.9684),
        ("npv", 0.7007),
        ("benign_f1", 0.8054),
        ("macro_f1", 0.8999),
        ("balanced_accuracy", 0.9686),
        ("fnr", 0.0097),
    ],
)
def test_the_papers_table_follows_from_its_confusion_matrix(metric, published):
    assert round(from_confusion(PAPER)[metric], 4) == published


def test_flagging_everything_looks_good_in_the_papers_metrics_and_bad_in_ours():
    always = from_confusion(Confusion(tn=0, fp=2413, fn=0, tp=100165))
    assert always["f1"] > 0.98
    assert always["accuracy"] > 0.97
    assert always["balanced_accuracy"] == 0.5
    assert always["g_mean"] == 0
    assert math.isnan(always["mcc"])
    assert math.isnan(always["npv"])


counts = st.integers(0, 50)


@given(counts, counts, counts, counts)
def test_metrics_agree_with_verdicts_counted_one_by_one(tn, fp, fn, tp):
    truth = np.array([False] * (tn + fp) + [True] * (fn + tp), bool)
    flagged = np.array([False] * tn + [True] * fp + [False] * fn + [True] * tp, bool)
    confusion = Confusion.of(truth, flagged)
    assert confusion == Confusion(tn, fp, fn, tp)
    if tn + fp + fn + tp:
        assert from_confusion(confusion)["accuracy"] == pytest.approx((truth == flagged).mean())


scores = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=40)


@given(scores)
def test_auc_is_the_share_of_pairs_in_order(rows):
    truth = np.array([attack for attack, _ in rows])
    score = np.array([float(value) for _, value in rows])
    pairs = [(a > b) + (a == b) / 2 for a in score[truth] for b in score[~truth]]
    if pairs:
        assert auc_roc(truth, score) == pytest.approx(sum(pairs) / len(pairs))
        assert 0 <= auc_pr(truth, score) <= 1
    else:
        assert math.isnan(auc_roc(truth, score))


def test_average_precision_by_hand():
    truth = np.array([True, False, True, False])
    assert auc_pr(truth, np.array([4.0, 3.0, 2.0, 1.0])) == pytest.approx((1 + 2 / 3) / 2)


def test_a_budget_needs_enough_benign_rows():
    assert threshold_at(np.arange(500.0), 0.01) is None
    limit = threshold_at(np.arange(2000.0), 0.01)
    assert limit is not None
    assert (np.arange(2000.0) > limit).mean() <= 0.01
