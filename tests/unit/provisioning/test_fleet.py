"""Fleet lists are strict: what is not understood is refused in one line, with its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from emtc_agent.provisioning import load_fleet
from emtc_agent.provisioning.fleet import BrokerSite, Fleet, Gateway, Operator
from emtc_agent.provisioning.rules import gateway_subject, operator_subject, render_rules, username
from emtc_contract.errors import InputError
from support import ROOT

BROKER = '[broker]\nurl = "mqtts://broker.example"\n'
GATEWAY = '[[gateway]]\nclient = "acme"\nname = "gw-1"\n'
GOOD = BROKER + GATEWAY
names = st.from_regex(r"[a-z0-9-]{1,8}", fullmatch=True)
gateways = st.builds(Gateway, client=names, name=names)


def refused(tmp_path, text):
    path = tmp_path / "fleet.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as told:
        load_fleet(path)
    message = str(told.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_the_example_can_be_read():
    fleet = load_fleet(ROOT / "firmware-config" / "provisioning" / "fleet.example.toml")
    assert [one.name for one in fleet.gateway] == ["hall-1", "hall-2"]
    assert fleet.operator[1].role == "viewer"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gatway = 3\n" + GOOD, ["unknown key gatway", "did you mean gateway"]),
        (GOOD + "clinet = 3\n", ["unknown key clinet in gateway[0]", "did you mean client"]),
        (GOOD.replace("url", 'ulr = "x"\nurl'), ["unknown key ulr in broker"]),
        (GOOD + '[[operator]]\nname = "a"\nroles = "viewer"\n', ["roles in operator[0]", "did you mean role"]),
        (GOOD + GATEWAY, ["gateway[1]: acme/gw-1 is gateway[0] already"]),
        (GOOD + '[[operator]]\nname = "a"\n[[operator]]\nname = "a"\nclient = "acme"\n', ["operator[1]: a is"]),
        (GOOD.replace("gw-1", "gw/1"), ["gateway[0].name 'gw/1'"]),
        (GOOD.replace("gw-1", "+"), ["gateway[0].name '+'"]),
        (GOOD.replace("gw-1", "gw-1\\nuser x"), ["gateway[0].name"]),
        (GOOD.replace("acme", "Acme"), ["gateway[0].client 'Acme'"]),
        (GOOD.replace("gw-1", "a" * 65), ["gateway[0].name", "1 to 64"]),
        (GOOD + '[[operator]]\nname = "a,CN=b"\n', ["operator[0].name"]),
        (GOOD + '[[operator]]\nname = "a"\nclient = "#"\n', ["operator[0].client"]),
        (GOOD + '[[operator]]\nname = "all"\n', ["operator[0].name: all is taken"]),
        (GOOD + '[[operator]]\nname = "a"\nrole = "root"\n', ["root", "operator[0].role"]),
        (GOOD + "name = 3\n", ["Cannot overwrite"]),
        (GOOD.replace('"gw-1"', "3"), ["gateway[0].name"]),
        (BROKER, ["no [[gateway]]"]),
        (GATEWAY, ["broker"]),
        (GOOD.replace(GATEWAY, 'names = ["a b"]\n' + GATEWAY), ["broker.names[0]"]),
        ('model_keys = ["site.key"]\n' + GOOD, ["model_keys[0]", ".pub"]),
        ('model_keys = ["a/site.pub", "b/site.pub"]\n' + GOOD, ["model_keys[1]: site.pub is model_keys[0] already"]),
        ("[broker\n", ["line 1"]),
        (b"\xff\xfe", ["utf-8"]),
        ("x = " + "[" * 3000, ["nested too deeply"]),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path, text, said):
    told = refused(tmp_path, text)
    assert all(word in told for word in said), told


def test_gateways_that_home_assistant_could_not_tell_apart_are_refused(tmp_path):
    two = '[[gateway]]\nclient = "a-b"\nname = "c"\n[[gateway]]\nclient = "a"\nname = "b-c"\n'
    (tmp_path / "fleet.toml").write_text(BROKER + two)
    load_fleet(tmp_path / "fleet.toml")
    assert "a-b-c is gateway[0] already" in refused(tmp_path, BROKER + "home_assistant = true\n" + two)


def test_a_missing_list_is_one_line(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        load_fleet(tmp_path / "none.toml")


def rules_of(fleet: Fleet) -> dict[str, list[tuple[str, str]]]:
    """User -> (right, filter), as mosquitto reads the file."""
    found: dict[str, list[tuple[str, str]]] = {}
    user = None
    for line in render_rules(fleet).splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "user":
            user = rest
            assert user not in found
            found[user] = []
        elif kind == "topic":
            right, topic = rest.split(" ", 1)
            found[user].append((right, topic))
        else:
            assert not line or line.startswith("#")
    return found


@given(st.lists(gateways, min_size=1, max_size=6, unique_by=lambda one: (one.client, one.name)), st.booleans())
def test_no_gateway_gets_a_right_over_another(fleet_gateways, home_assistant):
    broker = BrokerSite(url="mqtts://x", home_assistant=home_assistant)
    rules = rules_of(Fleet(broker=broker, gateway=tuple(fleet_gateways)))
    assert len(rules) == len(fleet_gateways)
    for gateway in fleet_gateways:
        for right, topic in rules[username(gateway_subject(gateway))]:
            for other in fleet_gateways:
                one = f"emtc/v1/{other.client}/{other.name}/"
                probes = [
                    one + tail for tail in ("status", "alert", "device/x", "reply/x", "cmd/x", "model", "chunk/0")
                ]
                assert not any(topic_matches_sub(topic, probe) for probe in probes) or other == gateway, right


@given(names, names)
def test_an_operator_is_never_taken_for_a_gateway(client, name):
    operator = Operator(name=name, client=client)
    assert username(operator_subject(operator)) != username(gateway_subject(Gateway(client=client, name=name)))
