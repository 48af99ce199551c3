"""Provisioning a fleet: what lies in the folder, who can read it, and that a second run changes nothing."""

import shutil
import socket
import ssl
import stat
import subprocess
import threading
import tomllib

import pytest
from click.testing import CliRunner

from certificates import Authority, needs_openssl
from emtc_agent.commands.provision import provision
from emtc_agent.durable import write_durably
from emtc_agent.settings import load_settings
from emtc_contract.errors import InputError
from support import ROOT

pytestmark = needs_openssl
FLEET = """
[broker]
url = "mqtts://127.0.0.1:8884"
[settings.capture]
interfaces = ["br-lan"]
device_networks = ["192.168.10.0/24"]
[settings.outbox]
max_mib = 4
[[gateway]]
client = "acme"
name = "gw-1"
settings.capture.interfaces = ["eth1", "wwan0"]
[[gateway]]
client = "bolt"
name = "gw-1"
[[operator]]
name = "desk"
"""


def provisioned(folder, text, options, *, ca):
    """Writes a fleet list and provisions it; returns what was told, or raises."""
    (folder / "fleet.toml").write_text(text)
    signing = ["--ca", str(folder / "ca")] if ca else []
    done = CliRunner().invoke(provision, [str(folder / "fleet.toml"), "-o", str(folder / "out"), *signing, *options])
    if isinstance(done.exception, InputError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """The folder after a first run, to be copied: making keys takes a while."""
    folder = tmp_path_factory.mktemp("fresh")
    provisioned(folder, FLEET, (), ca=True)
    return folder


@pytest.fixture
def go(tmp_path, fresh):
    """``provisioned`` in this test's folder."""

    def run(text=FLEET, *options, ca=True):
        if (text, options, ca) == (FLEET, (), True) and not any(tmp_path.iterdir()):
            shutil.copytree(fresh, tmp_path, dirs_exist_ok=True)
            return ""
        return provisioned(tmp_path, text, options, ca=ca)

    return run


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False)


def test_each_gateway_gets_settings_that_the_agent_takes(go, tmp_path):
    go()
    first = load_settings(tmp_path / "out/gateways/acme/gw-1/gateway.toml")
    second = load_settings(tmp_path / "out/gateways/bolt/gw-1/gateway.toml")
    assert (first.gateway.client, first.gateway.name) == ("acme", "gw-1")
    assert first.capture.interfaces == ("eth1", "wwan0")
    assert second.capture.interfaces == ("br-lan",)
    assert second.capture.device_networks == first.capture.device_networks == ("192.168.10.0/24",)
    assert first.outbox.max_mib == 4
    assert first.broker.url == "mqtts://127.0.0.1:8884"
    assert (first.broker.ca_file, first.broker.certificate) == ("ca.crt", "mqtt_client.crt")
    assert (first.broker.private_key, first.state.folder) == ("mqtt_client.key", "/var/lib/emtc-guard")


def test_secrets_are_for_their_owner_only_and_differ(go, tmp_path):
    go()
    secrets = [path for path in tmp_path.rglob("*") if path.suffix == ".key" or path.name == "identity.toml"]
    assert len(secrets) == 7  # authority, broker, operator; key and identity of two gateways
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
    assert len({path.read_bytes() for path in secrets}) == 7
    identity = [tomllib.loads(path.read_text()) for path in secrets if path.name == "identity.toml"]
    assert {(one["client"], one["gateway"]) for one in identity} == {("acme", "gw-1"), ("bolt", "gw-1")}
    assert all(len(bytes.fromhex(one["secret"])) == 32 for one in identity)
    assert not any(b"PRIVATE" in path.read_bytes() for path in (tmp_path / "out/requests").rglob("*.csr"))


@pytest.mark.parametrize(
    ("file", "purpose", "other"),
    [
        ("gateways/acme/gw-1/credentials/client.crt", "sslclient", "sslserver"),
        ("operators/desk/client.crt", "sslclient", "sslserver"),
        ("broker/server.crt", "sslserver", "sslclient"),
    ],
)
def test_certificates_pass_strict_checks_for_one_use_only(go, tmp_path, file, purpose, other):
    go()
    strictly = ("verify", "-x509_strict", "-CAfile", tmp_path / "ca/ca.crt", "-purpose")
    assert openssl(*strictly, purpose, tmp_path / "out" / file).returncode == 0
    assert "unsuitable certificate purpose" in openssl(*strictly, other, tmp_path / "out" / file).stderr


def test_a_gateway_trusts_the_broker_as_strictly_as_python_3_13(go, tmp_path):
    go()
    out = tmp_path / "out"
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(out / "broker/server.crt", out / "broker/server.key")
    server.load_verify_locations(out / "broker/ca.crt")
    server.verify_mode = ssl.CERT_REQUIRED
    server.verify_flags |= ssl.VERIFY_X509_STRICT
    gateway = out / "gateways/acme/gw-1"
    client = ssl.create_default_context(cafile=gateway / "ca.crt")
    client.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_cert_chain(gateway / "credentials/client.crt", gateway / "credentials/client.key")
    ends = socket.socketpair()
    seen = []

    def serve():
        with server.wrap_socket(ends[0], server_side=True) as channel:
            seen.append(dict(pair[0] for pair in channel.getpeercert()["subject"]))

    thread = threading.Thread(target=serve)
    thread.start()
    with client.wrap_socket(ends[1], server_hostname="127.0.0.1"):
        thread.join(10)
    assert seen == [{"organizationName": "acme", "commonName": "gw-1"}]


def test_a_second_run_changes_nothing(go, tmp_path):
    go()
    before = contents(tmp_path)
    assert "4 kept; other files: 0 written" in go()
    assert contents(tmp_path) == before


def test_a_gateway_more_leaves_the_others_alone_and_one_less_is_told(go, tmp_path):
    go()
    before = contents(tmp_path / "out/gateways")
    more = FLEET + '[[gateway]]\nclient = "acme"\nname = "gw-2"\n'
    assert "1 signed, 4 kept" in go(more)
    after = contents(tmp_path / "out/gateways")
    assert before.items() < after.items()
    assert "gateways/acme/gw-2: not in the list any more" in go()
    assert "gw-2" not in (tmp_path / "out/broker/acl").read_text()
    assert contents(tmp_path / "out/gateways") == after


def test_renew_makes_key_and_certificate_anew_and_keeps_the_secret(go, tmp_path):
    go()
    before = contents(tmp_path / "out")
    assert "1 signed, 3 kept" in go(FLEET, "--renew", "acme/gw-1")
    changed = {str(path) for path, content in contents(tmp_path / "out").items() if before[path] != content}
    place = "gateways/acme/gw-1/credentials"
    assert changed == {f"{place}/client.key", f"{place}/client.crt", "requests/gateways/acme/gw-1.csr"}
    go()
    assert "4 signed" in go(FLEET, "--renew", "all")


@pytest.mark.parametrize("lost", ["client.crt", "client.key"])
def test_a_run_that_was_cut_is_completed(go, tmp_path, lost):
    go()
    credentials = tmp_path / "out/gateways/acme/gw-1/credentials"
    (credentials / lost).unlink()
    assert "1 signed, 3 kept" in go()
    assert "4 kept" in go()


def test_without_an_authority_requests_wait_for_one(go, tmp_path):
    text = FLEET.replace('8884"\n', '8884"\nca_file = "broker-ca.crt"\n')
    other = Authority(tmp_path / "other")
    (tmp_path / "broker-ca.crt").write_bytes(other.certificate.read_bytes())
    assert "3 waiting for a certificate" in go(text, ca=False)
    request = tmp_path / "out/requests/gateways/acme/gw-1.csr"
    told = openssl("req", "-in", request, "-noout", "-verify", "-subject", "-nameopt", "RFC2253")
    assert "subject=CN=gw-1,O=acme" in told.stdout
    answer = tmp_path / "out/gateways/acme/gw-1/credentials/client.crt"
    signing = ("-CA", other.certificate, "-CAkey", other.key, "-days", "9", "-out", answer)
    assert openssl("x509", "-req", "-in", request, *signing).returncode == 0
    assert "1 kept, 2 waiting" in go(text, ca=False)
    assert (answer.parent.parent / "ca.crt").read_bytes() == other.certificate.read_bytes()
    assert not (tmp_path / "out/broker/server.key").exists()


def test_a_request_that_was_changed_meanwhile_is_not_signed(go, tmp_path):
    go(ca=False)
    stranger = Authority(tmp_path / "other").client("/O=bolt/CN=gw-1")
    request = tmp_path / "out/requests/gateways/acme/gw-1.csr"
    done = openssl("req", "-new", "-key", stranger.key, "-subj", "/O=bolt/CN=gw-1", "-out", request)
    assert done.returncode == 0
    go()
    told = openssl("x509", "-in", tmp_path / "out/gateways/acme/gw-1/credentials/client.crt", "-noout", "-subject")
    assert "acme" in told.stdout


def swap(folder, first, second):
    one, two = (folder / "gateways" / name / "credentials/client.crt" for name in (first, second))
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)


def test_a_certificate_of_another_key_is_refused(go, tmp_path):
    go()
    swap(tmp_path / "out", "acme/gw-1", "bolt/gw-1")
    with pytest.raises(InputError, match=r"acme/gw-1/credentials/client\.crt: is for another key than client\.key"):
        go()


def test_a_certificate_that_names_another_is_refused(go, tmp_path):
    go()
    place = tmp_path / "out/gateways/acme/gw-1/credentials"
    authority = Authority(tmp_path / "ca")
    request = tmp_path / "renamed.csr"
    openssl("req", "-new", "-key", place / "client.key", "-subj", "/CN=gw-1", "-out", request)
    signing = ("-CA", authority.certificate, "-CAkey", authority.key, "-days", "9", "-out", place / "client.crt")
    openssl("x509", "-req", "-in", request, *signing)
    with pytest.raises(InputError, match=r"is for CN=gw-1; the broker's rules are for CN=gw-1,O=acme"):
        go()


def test_a_certificate_whose_time_is_over_is_refused_until_renewed(go, tmp_path):
    go()
    place = tmp_path / "out/gateways/acme/gw-1/credentials"
    authority = Authority(tmp_path / "ca")
    request = tmp_path / "out/requests/gateways/acme/gw-1.csr"
    signing = ("-CA", authority.certificate, "-CAkey", authority.key, "-days", "-1", "-out", place / "client.crt")
    openssl("x509", "-req", "-in", request, *signing)
    with pytest.raises(InputError, match="its time is over; --renew acme/gw-1"):
        go()
    assert "1 signed, 3 kept" in go(FLEET, "--renew", "acme/gw-1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (FLEET.replace("max_mib = 4", "max_mb = 4"), "gateway.toml of acme/gw-1.*max_mb.*did you mean max_mib"),
        (
            FLEET.replace("settings.outbox", "settings.out-box"),
            "gateway.toml of acme/gw-1.*unknown setting 'out-box'",
        ),
        (FLEET.replace("max_mib = 4", '"max mib" = 4'), "gateway.toml of acme/gw-1"),
        (FLEET.replace("max_mib = 4", "max_mib = 2026-01-01"), r"outbox\.max_mib: no setting is a date"),
        (FLEET.replace("max_mib = 4", "max_mib = {x = 1}"), r"outbox\.max_mib: no setting is a dict"),
        (FLEET.replace("max_mib = 4", "max_mib = -1"), r"outbox\.max_mib"),
        (FLEET.replace("mqtts://", "mqtts://me:s3cret@"), "secrets do not belong here"),
        (FLEET.replace("mqtts://127.0.0.1", "mqtt://broker.example"), "use mqtts://"),
        (FLEET.replace("mqtts://", "http://"), "a broker is mqtt://"),
        (FLEET.replace('8884"\n', '8884"\nca_file = "none.crt"\n'), r"none\.crt: No such file"),
        ('model_keys = ["none.pub"]\n' + FLEET, r"none\.pub: No such file"),
    ],
)
def test_nothing_is_written_while_the_list_is_wrong(go, tmp_path, text, said):
    with pytest.raises(InputError, match=said) as told:
        go(text)
    assert "s3cret" not in str(told.value)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "ca").exists()


def test_renewing_somebody_unknown_is_refused(go, tmp_path):
    with pytest.raises(InputError, match="--renew acme/gw-9: nobody of that name"):
        go(FLEET, "--renew", "acme/gw-9")
    assert not (tmp_path / "out").exists()


def test_an_authority_whose_parts_do_not_fit_is_refused(go, tmp_path):
    go()
    other = Authority(tmp_path / "other")
    write_durably(tmp_path / "ca/ca.key", other.key.read_bytes())
    with pytest.raises(InputError, match=r"ca\.crt: is for another key than ca\.key"):
        go()
    (tmp_path / "ca/ca.key").unlink()
    with pytest.raises(InputError, match=r"ca\.key is not beside it"):
        go()
    (tmp_path / "ca/ca.crt").write_text("nonsense")
    with pytest.raises(InputError, match=r"ca\.crt: openssl x509: "):
        go()


def test_model_keys_go_onto_every_gateway(go, tmp_path):
    (tmp_path / "site.pub").write_text("a key\n")
    go('model_keys = ["site.pub"]\n' + FLEET)
    for gateway in ("acme/gw-1", "bolt/gw-1"):
        place = tmp_path / "out/gateways" / gateway
        assert (place / "site.pub").read_text() == "a key\n"
        assert load_settings(place / "gateway.toml").model.keys == ("site.pub",)


def test_a_folder_that_cannot_be_written_is_one_line(go, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/gateways").write_text("a file")
    with pytest.raises(InputError, match=r"out/gateways.*(File exists|Not a directory)"):
        go()


def test_a_missing_openssl_is_one_line(go, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="openssl is not installed"):
        go(FLEET, "--days", "9")


def test_the_example_can_be_provisioned(go, tmp_path):
    go((ROOT / "firmware-config/provisioning/fleet.example.toml").read_text())
    settings = load_settings(tmp_path / "out/gateways/acme/hall-2/gateway.toml")
    assert settings.capture.interfaces == ("eth1", "wwan0")
    assert settings.outbox.monthly_mib == 20
