"""Scenario files are strict: what is not understood is refused, with its place and the nearest name."""

from pathlib import Path

import pytest

from emtc_contract.errors import InputError
from emtc_lab.attacks.types import ATTACKS
from emtc_lab.scenario import load

SHIPPED = sorted((Path(__file__).parents[3] / "lab" / "scenarios").glob("*.toml"))
GOOD = 'name = "x"\n[[devices]]\nkind = "camera"\n'


def refused(tmp_path, text):
    path = tmp_path / "site.toml"
    path.write_text(text)
    with pytest.raises(InputError) as told:
        load(path)
    assert str(told.value).startswith(f"{path}: ")
    return str(told.value)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_is_shipped_can_be_read(path):
    scenario = load(path)
    assert scenario.name == path.stem
    assert scenario.attack_types


def test_a_minimal_scenario_gets_defaults(tmp_path):
    (tmp_path / "site.toml").write_text(GOOD)
    scenario = load(tmp_path / "site.toml")
    assert (scenario.device_count, scenario.snaplen, scenario.views, scenario.attacks) == (
        1,
        128,
        ("ethernet",),
        None,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('minuts = 3\nname = "x"\n[[devices]]\nkind = "camera"\n', ["minuts", "did you mean minutes"]),
        (GOOD + "cuont = 3\n", ["cuont", "devices[0]", "did you mean count"]),
        (GOOD + "[links.slow]\nup_kpbs = 3\n", ["up_kpbs", "did you mean up_kbps"]),
        (GOOD + "[attacks]\npause = 3\n", ["pause", "attacks", "did you mean pause_s"]),
        (GOOD + "[events]\npower_cuts_s = 3\n", ["did you mean power_cut_s"]),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(tmp_path, text, said):
    told = refused(tmp_path, text)
    assert "unknown key" in told
    assert all(word in told for word in said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("camera", "camra"), ["devices[0].kind", "camra", "did you mean camera"]),
        (GOOD + 'link = "lte"\n', ["devices[0].link", "did you mean lte-m"]),
        (GOOD + 'personality = "zefyr"\n', ["devices[0].personality", "did you mean zephyr"]),
        (GOOD + '[attacks]\ntypes = ["synflood"]\n', ["attacks.types", "did you mean syn-flood"]),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(tmp_path, text, said):
    told = refused(tmp_path, text)
    assert all(word in told for word in said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "Invalid value"),
        ('name = "x"\n', "devices"),
        ('name = "x"\ndevices = []\n', "devices"),
        ('minutes = 0\nname = "x"\n[[devices]]\nkind = "camera"\n', "minutes"),
        ('minutes = "ten"\nname = "x"\n[[devices]]\nkind = "camera"\n', "minutes"),
        (GOOD + "count = 121\n", "count"),
        (GOOD + 'count = 90\n[[devices]]\nkind = "hub"\ncount = 90\n', "at most 120"),
        (GOOD + "[links.slow]\nloss = 1.5\n", "loss"),
        (GOOD + "[events]\npower_cut_s = -1\n", "power_cut_s"),
    ],
)
def test_a_bad_value_is_refused_with_its_place(tmp_path, text, said):
    assert said in refused(tmp_path, text)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        load(tmp_path / "none.toml")


def test_families_and_all_are_spelt_out(tmp_path):
    (tmp_path / "site.toml").write_text(GOOD + '[attacks]\ntypes = ["syn-scan", "recon", "web"]\n')
    types = load(tmp_path / "site.toml").attack_types
    assert types[0] == "syn-scan"
    assert len(types) == len(set(types))
    assert {ATTACKS[name].family for name in types} == {"recon", "web"}
