"""The scorer with and without what was learned on site."""

import numpy as np
import pytest

from emtc_agent.detector import Scorer, open_runtime
from emtc_agent.detector.calibration import Recalibration, p_values, table
from emtc_agent.learning.probe import read_probe
from emtc_contract.errors import BundleError
from rows import benign_rows
from site_windows import COLUMNS, SECOND, SHIPPED, START_US, shipped, windows_of


@pytest.fixture(scope="module")
def runtime():
    return open_runtime(shipped())


@pytest.fixture(scope="module")
def windows():
    rows = benign_rows(3, 200)
    return windows_of(START_US + np.arange(200) * SECOND, 1, rows)


def test_weights_table_and_threshold_are_those_of_the_site(runtime, windows):
    plain = Scorer(runtime).score(windows)
    weights = np.linspace(0.1, 1, COLUMNS).astype(np.float32)
    site = Recalibration(weights, float(np.median(plain.score)), *table(plain.score.astype(float)))
    scored = Scorer(runtime, site=site).score(windows)
    density = plain.score - 0.5 * plain.errors.sum(1)
    assert np.allclose(scored.errors, plain.errors * weights)
    assert np.allclose(scored.score, density + 0.5 * (plain.errors * weights).sum(1), rtol=1e-4)
    assert np.allclose(scored.p_value, p_values(scored.score.astype(float), (site.scores, site.shares)))
    assert (scored.exceeds == (scored.score > site.threshold)).all()


def test_an_overlay_can_come_and_go_while_scoring(runtime, windows):
    scorer = Scorer(runtime, max_per_second=10)
    before = scorer.score(windows)
    scorer.use(Recalibration(np.full(COLUMNS, 0.5, np.float32), 1.0, (0.0, 1.0), (1.0, 0.5)))
    assert scorer.threshold == 1.0
    assert (scorer.score(windows).score < before.score).all()
    scorer.use(None)
    again = scorer.score(windows)
    assert (again.score == before.score).all()
    assert scorer.threshold == runtime.artifact.threshold


def test_the_bundles_made_up_attacks_are_mostly_seen(runtime):
    one = runtime.artifact
    own = Recalibration(np.ones(COLUMNS, np.float32), one.threshold, one.calibration_scores, one.calibration_p)
    assert read_probe(SHIPPED, runtime, COLUMNS).seen(own) > 0.5


def test_a_bundle_for_other_features_has_no_probe(runtime):
    with pytest.raises(BundleError, match="holds no attacks of 46 features"):
        read_probe(SHIPPED, runtime, 46)
