"""The settings file: strict, told with the line, and its sample is true."""

import json
import re
import tomllib

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emtc_agent.settings import Settings, load_settings, parse_settings
from emtc_agent.settings.migrations import migrate
from emtc_agent.settings.showing import describe, json_schema, sample, show
from emtc_contract.errors import InputError
from programs import assert_one_line_error, run
from support import ROOT


def test_nothing_set_is_the_defaults():
    assert parse_settings("", "x") == Settings()


def test_the_sample_names_every_setting_at_its_default():
    text = sample()
    assert parse_settings(text, "x") == Settings()
    uncommented = re.sub(r"(?m)^#(\w+ = \S)", r"\1", text)
    raw = tomllib.loads(uncommented)
    assert parse_settings(uncommented, "x") == Settings()
    for name in Settings.__struct_fields__[1:]:
        section = getattr(Settings(), name)
        for key in section.__struct_fields__:
            assert describe(type(section), key), key
            assert key in raw[name] or f"#{key} =" in text


def test_what_is_shown_gives_the_same_settings_again():
    text = '[gateway]\nname = "gw-1"\n[capture]\ninterfaces = ["eth0", "wwan0"]\n[incidents]\nclose_after_s = 12\n'
    settings = parse_settings(text, "x")
    assert settings.capture.interfaces == ("eth0", "wwan0")
    assert parse_settings(show(settings), "x") == settings


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version = 9", r"g.toml:1: version: Expected `int` <= 1"),
        ("\n[captur]\n", r"g.toml:2: unknown setting 'captur'; did you mean capture\?"),
        ("[capture]\n\nsnaplem = 100", r"g.toml:3: unknown setting 'snaplem' in \[capture\]; did you mean snaplen\?"),
        ("[gateway]\nzzz = 1", r"g.toml:2: unknown setting 'zzz' in \[gateway\]; there are client, name"),
        ("[capture]\nsnaplen = 3", r"g.toml:2: capture.snaplen: Expected `int` >= 64"),
        ("[capture]\nmax_endpoints = 9", r"g.toml:2: capture.max_endpoints: 9 is not a power of two"),
        ("[capture]\ndevice_networks = ['10.0.0.0/99']", r"g.toml:2: capture.device_networks: .*10.0.0.0/99"),
        ("capture = 3", r"g.toml:1: capture is a table: write \[capture\]"),
        ("[incidents]\nallow = [1]", r"g.toml:2: incidents.allow: Expected `str`, got `int`"),
        ("[incidents]\nupdate_at_most_every_s = 2", r"g.toml:2: .*is shorter than update_every_s"),
        ("[broker]\nurl = 'mqtt://192.0.2.1'", r"g.toml:2: broker.url: MQTT without TLS"),
        ("[broker]\nurl = 'mqtts://me:secret@h'", r"g.toml:2: broker.url: secrets do not belong here"),
        ("[broker]\nurl = 'http://h'", r"g.toml:2: broker.url: a broker is mqtt://"),
        ("[broker]\ncertificate = 'x'", r"g.toml:2: broker.certificate: certificate and private_key go together"),
        ("[broker]\npassword_file = 'x'", r"g.toml:2: broker.password_file: a password needs a user"),
        ("[gateway]\nname = 'A B'", r"g.toml:2: gateway.name: Expected `str` matching"),
        ("x = [", r"g.toml: not TOML: .*"),
        ("[a]\n[a]", r"g.toml: not TOML: .*line 2"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text, told):
    with pytest.raises(InputError, match=told) as caught:
        parse_settings(text, "g.toml")
    assert "secret" not in str(caught.value).replace("secrets", "")


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda octets: octets.decode("latin-1")))
def test_any_text_is_settings_or_an_input_error(text):
    try:
        assert isinstance(parse_settings(text, "x"), Settings)
    except InputError as error:
        assert "\n" not in str(error).strip() or "\n" in text


def test_older_layouts_are_brought_up_to_date_step_by_step():
    steps = {1: lambda raw: {"b": raw["a"]}, 2: lambda raw: {"c": raw["b"] + 1}}
    assert migrate({"version": 1, "a": 4}, steps, to=3) == {"version": 3, "c": 5}
    assert migrate({"version": 3, "c": 5}, steps, to=3) == {"version": 3, "c": 5}


def test_the_schema_fits_the_files(tmp_path):
    schema = json.loads(json_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(tomllib.loads(sample()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"capture": {"snaplen": 3}}, schema)


def test_the_shipped_sample_is_what_the_program_prints():
    shipped = ROOT / "firmware-config" / "gateway.toml"
    assert shipped.read_text() == sample()


def test_the_program_checks_and_shows(tmp_path):
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text("[capture]\ninterfaces = ['eth0']\n")
    bad.write_bytes(b"[capture]\nname = '\xff'\n")
    assert run("emtc-agent", "config", "check", good).returncode == 0
    assert 'interfaces = ["eth0"]' in run("emtc-agent", "config", "show", good).stdout.decode()
    assert_one_line_error(run("emtc-agent", "config", "check", bad), "bad.toml:2: not UTF-8", code=2)
    assert_one_line_error(run("emtc-agent", "config", "check", tmp_path / "none"), "No such file", code=2)
    with pytest.raises(InputError, match="larger than"):
        (tmp_path / "long").write_bytes(b"#" * 300_000)
        load_settings(tmp_path / "long")
