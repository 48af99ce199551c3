"""Adapting a model to a site: the original stays, each step does what it says, latest rows set the thresholds."""

from dataclasses import replace

import numpy as np
import torch

from emtc_agent.feature_files import CsvFeatureWriter, FeatureRows
from emtc_trainer.adapting import (
    ALL_WEIGHTS,
    DENSITY,
    FROM_SCRATCH,
    LAST_LAYER,
    SCALING,
    STEPS,
    THRESHOLDS,
    AdaptConfig,
    steps,
)
from emtc_trainer.saved import load_model, save_model
from emtc_trainer.training import last_part, score
from models import dataset, small_model
from programs import assert_one_line_error, run


def elsewhere(seed=21, rows=400):
    """A site whose features are all half as large again."""
    data = dataset(seed, "site", rows)
    return replace(data, features=(data.features * 1.5 + 0.1).astype(np.float32))


def adapted(model, site, **how):
    config = AdaptConfig(**{"epochs": 3, **how})
    return dict(steps(model, site, config, lambda *_: None, lambda _: None))


def weights(model):
    return {name: value.clone() for name, value in model.module.autoencoder.state_dict().items()}


def changed(one, other):
    mine, its = weights(one), weights(other)
    return {name for name in mine if not torch.equal(mine[name], its[name])}


def test_each_step_changes_what_it_says_and_nothing_else():
    model = small_model()
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    made = adapted(model, elsewhere())
    assert tuple(made) == STEPS
    for name, value in model.module.state_dict().items():
        assert torch.equal(value, before[name]), "the model that was handed in stays as it was"
    for step in (THRESHOLDS, SCALING, DENSITY):
        assert not changed(made[step], model)
    assert {name.split(".")[0] for name in changed(made[LAST_LAYER], model)} == {"decoder"}
    assert {name.split(".")[0] for name in changed(made[ALL_WEIGHTS], made[LAST_LAYER])} > {"decoder", "encoder"}
    assert torch.equal(made[THRESHOLDS].module.center, model.module.center)
    assert not torch.equal(made[SCALING].module.center, model.module.center)
    assert torch.equal(made[SCALING].module.arrange, model.module.arrange)
    assert torch.equal(made[SCALING].module.density.level, model.module.density.level)
    assert not torch.equal(made[DENSITY].module.density.level, model.module.density.level)
    assert made[FROM_SCRATCH].preset == model.preset


def test_thresholds_come_from_the_latest_rows_which_nothing_is_fitted_on():
    model, site = small_model(), elsewhere()
    late = last_part(site, 0.25)
    for step, one in adapted(model, site).items():
        if step == "as trained":
            continue
        own = score(one.module, site.features[late])
        assert np.mean(own > one.threshold) <= 1 - one.quantile + 1 / late.sum()
        assert one.metrics["calibration_rows"] == late.sum()
    shifted = site.features.copy()
    shifted[late] *= 7
    other = adapted(model, replace(site, features=shifted))
    same = adapted(model, site)
    for name, value in same[ALL_WEIGHTS].module.state_dict().items():
        assert torch.equal(value, other[ALL_WEIGHTS].module.state_dict()[name]), "late rows are not learned from"


def test_a_site_becomes_usual_and_strange_rows_stay_strange():
    model, site = small_model(epochs=20), elsewhere()
    later = elsewhere(22)
    made = adapted(model, site)
    assert np.mean(score(model.module, later.features) > model.threshold) > 0.5
    for step in (THRESHOLDS, SCALING, DENSITY, ALL_WEIGHTS):
        assert np.mean(score(made[step].module, later.features) > made[step].threshold) < 0.15, step
    strange = later.features[:, ::-1].copy()
    assert np.mean(score(made[DENSITY].module, strange) > made[DENSITY].threshold) > 0.9


def test_two_runs_give_the_same():
    model, site = small_model(), elsewhere()
    one, other = adapted(model, site)[ALL_WEIGHTS], adapted(model, site)[ALL_WEIGHTS]
    assert not changed(one, other)
    assert one.threshold == other.threshold


def test_the_command_takes_the_rows_that_a_gateway_learned(tmp_path):
    site = elsewhere()
    rows = FeatureRows(
        schema=site.schema,
        features=site.features.astype(np.float64),
        endpoint=site.endpoint,
        first_us=site.first_us,
        last_us=site.last_us,
        label=site.label,
        source="learned",
    )
    with CsvFeatureWriter(tmp_path / "learned.csv", site.schema) as writer:
        writer.write(rows)
    save_model(tmp_path / "model.pt", small_model())
    common = ("emtc-trainer", "adapt", tmp_path / "model.pt", "--site", tmp_path / "learned.csv", "--epochs", 2)
    done = run(*common, "-o", tmp_path / "adapted.pt", "--step", "scaling")
    assert done.returncode == 0, done.stderr.decode()
    assert all(step in done.stdout.decode() for step in STEPS)
    made = load_model(tmp_path / "adapted.pt")
    assert made.provenance.files[-1].role == "site"
    assert not changed(made, load_model(tmp_path / "model.pt"))
    refused = run(*common, "-o", tmp_path / "x.pt", "--judge", tmp_path / "nothing")
    assert_one_line_error(refused, "nothing", code=2)
    assert not (tmp_path / "x.pt").exists()
