"""Which model is in use: at the start, after an update, after one that is no good."""

import shutil

import pytest

from emtc_agent.daemon.modelling import Models
from emtc_agent.daemon.parts import Place
from emtc_agent.detector import load_bundle
from emtc_agent.settings import parse_settings
from emtc_contract.errors import BundleError, InputError
from engines import Site
from model_updates import SHIPPED, Maker

WAIT_S = 20
V1, V2 = 20_300_001, 20_300_002
SHIPPED_VERSION = load_bundle(SHIPPED).manifest.version


@pytest.fixture(scope="module")
def maker(tmp_path_factory):
    return Maker(tmp_path_factory.mktemp("maker"))


@pytest.fixture
def models(maker, tmp_path):
    """A function that makes them of settings, in a state folder or none."""
    opened = []
    shutil.copy(maker.public, tmp_path / "maker.pub")

    def make(text="[model]\nkeys = ['maker.pub']\n", state=tmp_path / "state"):
        opened.append(Models(parse_settings(text, "x"), Place(tmp_path), state))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def arrive(models, maker, version):
    """A version comes in chunks."""
    updater = models.updater
    payload, chunks = maker.offer(maker.bundle(version))
    updater.offer(payload)
    assert updater.settle(WAIT_S)
    while wanted := updater.wanted_chunks():
        for argument in wanted:
            updater.chunk(argument, chunks[int(argument.partition("-")[2])])
        assert updater.settle(WAIT_S)


def version(model):
    return model.bundle.manifest.version


@pytest.mark.parametrize(
    ("text", "with_state"),
    [
        ("", True),
        ("[model]\nkeys = ['maker.pub']\n", False),
        ("[model]\nkeys = ['maker.pub']\n[updates]\nenabled = false\n", True),
    ],
)
def test_updates_need_keys_a_state_folder_and_to_be_wanted(models, tmp_path, text, with_state):
    one = models(text, tmp_path / "state" if with_state else None)
    assert one.updater is None
    model = one.first()
    assert (model.path, version(model)) == (SHIPPED, SHIPPED_VERSION)
    site = Site(model=model)
    assert not one.turn(site.engine)


def test_the_shipped_bundle_needs_no_key_of_the_operator(models):
    assert models().first().path == SHIPPED


def test_a_configured_bundle_is_used_if_its_signature_is_good(models, maker, tmp_path):
    for suffix in ("", ".minisig"):
        shutil.copy(f"{maker.bundle(V1)}{suffix}", tmp_path / f"own.bundle{suffix}")
    text = "[model]\nbundle = 'own.bundle'\nkeys = ['maker.pub']\nprecision = 'int8'\n"
    model = models(text, None).first()
    assert (model.path, version(model)) == (tmp_path / "own.bundle", V1)
    assert model.runtime.artifact.precision == "int8"
    (tmp_path / "own.bundle.minisig").unlink()
    with pytest.raises(BundleError):
        models(text, None).first()
    with pytest.raises(BundleError):
        models(text).first()


def test_an_update_is_switched_to_and_used_by_the_next_run(models, maker, tmp_path):
    one = models()
    site = Site(tmp_path, model=one.first())
    assert not one.turn(site.engine)
    arrive(one, maker, V1)
    site.scans(1)
    assert one.turn(site.engine)
    assert site.engine.info.bundle_version == version(site.engine.model) == V1
    assert site.engine.pipeline.tracker.open == 1
    assert site.engine.take_figures().windows == 0, "those of the model before do not count for it"
    assert not one.turn(site.engine)
    one.close()
    assert version(models().first()) == V1


def test_figures_decide_the_trial(models, maker, tmp_path):
    one = models()
    site = Site(tmp_path, model=one.first())
    arrive(one, maker, V1)
    assert one.turn(site.engine)
    one._figures_s = 0.0  # five seconds later
    site.engine.figures.windows, site.engine.figures.seconds = 1_000, 1_000.0
    assert not one.turn(site.engine)
    assert one.updater.settle(WAIT_S)
    assert one.turn(site.engine), "too slow: back"
    assert version(site.engine.model) == SHIPPED_VERSION
    assert one.updater.state()["failed_versions"] == [V1]


def test_going_back_by_command_is_a_switch_too(models, maker, tmp_path, caplog):
    one = models()
    site = Site(tmp_path, model=one.first())
    arrive(one, maker, V1)
    one.turn(site.engine)
    one.updater.roll_back("it is loud")
    assert one.updater.settle(WAIT_S)
    assert one.turn(site.engine)
    assert version(site.engine.model) == SHIPPED_VERSION
    assert "model: roll back: it is loud" in caplog.text


def test_a_slot_that_is_damaged_leaves_the_fallback(models, maker, tmp_path):
    one = models()
    arrive(one, maker, V1)
    one.close()
    (tmp_path / "state" / "models" / "a.bundle").write_bytes(b"x")
    assert version(models().first()) == SHIPPED_VERSION


def test_a_slot_whose_model_does_not_open_is_rejected(models, maker, monkeypatch):
    one = models()
    arrive(one, maker, V1)
    one.close()
    again = models()
    from emtc_agent.daemon import modelling

    def moody(bundle, *how):
        if bundle.manifest.version == V1:
            raise BundleError("no such operator")
        return opened(bundle, *how)

    opened = modelling.open_runtime
    monkeypatch.setattr(modelling, "open_runtime", moody)
    assert version(again.first()) == SHIPPED_VERSION
    assert again.updater.state()["failed_versions"] == [V1]


def test_a_state_folder_that_cannot_be_used_is_said(models, tmp_path):
    (tmp_path / "state").write_text("a file")
    with pytest.raises(InputError, match="state/models"):
        models()
