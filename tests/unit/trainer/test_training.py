"""Training: repeatable, on benign rows only, and careful about which files it has seen."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from emtc_contract.errors import BundleError, InputError
from emtc_trainer.autoencoder import PRESETS, Autoencoder
from emtc_trainer.data import without_duplicates
from emtc_trainer.evaluation import evaluate, refuse_seen
from emtc_trainer.saved import load_model, save_model
from emtc_trainer.training import score
from models import dataset, small_model
from rows import benign_rows


def test_the_same_seed_gives_the_same_model(model):
    again, other = small_model(), small_model(seed=8)
    for name, value in model.module.state_dict().items():
        assert torch.equal(value, again.module.state_dict()[name]), name
    assert model.threshold == again.threshold
    assert model.threshold != other.threshold


def test_training_makes_benign_rows_cheaper_than_strange_ones(model):
    strange = benign_rows(5)[:, ::-1].copy()
    assert np.median(score(model.module, strange)) > 3 * np.median(score(model.module, benign_rows(5)))


def test_a_model_survives_its_file(model, tmp_path):
    path = tmp_path / "model.pt"
    save_model(path, model)
    loaded = load_model(path)
    rows = benign_rows(6)
    assert np.array_equal(score(loaded.module, rows), score(model.module, rows))
    assert (loaded.threshold, loaded.usual, loaded.provenance) == (model.threshold, model.usual, model.provenance)
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04broken"])
def test_a_broken_model_file_is_refused(tmp_path, content):
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"model\.pt"):
        load_model(path)
    with pytest.raises(BundleError, match="missing"):
        load_model(tmp_path / "missing")


def test_evaluation_refuses_files_the_model_has_seen(model):
    with pytest.raises(InputError, match=r"train-1\.csv"):
        refuse_seen(model, dataset(1).files)
    refuse_seen(model, dataset(99).files)


def test_evaluation_needs_both_classes(model):
    with pytest.raises(InputError, match="benign and attack"):
        evaluate(model, dataset(9))


def test_evaluation_tells_attacks_by_type(model):
    data = dataset(9)
    features = data.features.copy()
    features[:50, 10:30] += 40
    label = data.label.copy()
    label[:50] = "recon/scan"
    result = evaluate(model, replace(data, features=features, label=label))
    assert result.confusion.tp + result.confusion.fn == 50
    assert result.types[0].name == "recon/scan"
    assert result.types[0].recall > 0.9
    assert result.metrics["auc_roc"] > 0.9
    assert result.types[0].at_budget[1] is None, "350 benign rows say nothing about one false alarm in 1000"


def test_identical_rows_count_once():
    data = dataset(3, rows=50)
    doubled = data.take(np.repeat(np.arange(50), 3))
    unique = without_duplicates(doubled)
    assert len(unique) == 50
    assert np.array_equal(unique.features, data.features)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("features", [39, 46, 59, 64])
def test_the_network_gives_back_the_shape_it_got(preset, features):
    network = Autoencoder(features, PRESETS[preset])
    rebuilt, latent = network(torch.zeros(3, features))
    assert rebuilt.shape == (3, features)
    assert latent.shape[0] == 3
