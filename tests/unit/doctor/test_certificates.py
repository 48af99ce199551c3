"""Files for TLS are judged as OpenSSL would, before a broker does."""

import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificates import needs_openssl
from emtc_agent.doctor import worst
from emtc_agent.doctor.certificates import check_authorities, check_own_certificate, check_secret
from emtc_agent.doctor.x509 import parse_certificate, read_certificates
from emtc_contract.errors import InputError

DAY_S = 86_400


def now_s():
    return time.time() + 1


pytestmark = needs_openssl


def by_name(findings):
    return {one.name: one for one in findings}


def test_fields_are_what_openssl_says(authority):
    own = authority.client("/O=acme/CN=gw-1")
    (certificate,) = read_certificates(own.certificate)
    command = ["openssl", "x509", "-in", own.certificate, "-noout", "-dates", "-dateopt", "iso_8601"]
    told = dict(line.split("=") for line in subprocess.check_output(command, text=True).splitlines())
    shown = {
        name: time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(value))
        for name, value in [("notBefore", certificate.not_before_s), ("notAfter", certificate.not_after_s)]
    }
    assert shown == told
    assert certificate.subject == "gw-1"
    assert certificate.usage == {"digitalSignature"}
    assert certificate.purposes == {"clientAuth"}
    assert not certificate.is_authority
    (ca,) = read_certificates(authority.certificate)
    assert (ca.is_authority, "keyCertSign" in ca.usage, ca.purposes) == (True, True, None)


def test_dates_beyond_2049_are_read_too(tmp_path):
    path = tmp_path / "long.crt"
    how = [
        "-nodes",
        "-keyout",
        "/dev/null",
        "-out",
        path,
        "-days",
        "20000",
        "-subj",
        "/CN=long",
        "-config",
        "/dev/null",
    ]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    subprocess.run(["openssl", "req", "-x509", *curve, *how], check=True, capture_output=True)
    (certificate,) = read_certificates(path)
    assert 19_999 * DAY_S < certificate.not_after_s - now_s() < 20_001 * DAY_S


def test_a_good_pair_is_all_right_and_a_warning_comes_30_days_ahead(authority):
    own = authority.client("/CN=gw-1", days=90)
    assert worst(check_own_certificate(*own, now_s())) == "ok"
    for days, level in [(59, "ok"), (61, "warning"), (91, "problem"), (-2, "problem")]:
        assert by_name(check_own_certificate(*own, time.time() + days * DAY_S))["own certificate"].level == level


def test_a_key_of_another_certificate(authority):
    own, other = authority.client("/CN=gw-1"), authority.client("/CN=gw-2")
    found = by_name(check_own_certificate(own.certificate, other.key, now_s()))["certificate and key"]
    assert (found.level, "is not the key of" in found.what) == ("problem", True)


def test_an_encrypted_key_asks_nobody(authority, tmp_path):
    own = authority.client("/CN=gw-1")
    locked = tmp_path / "locked.key"
    command = ["openssl", "pkey", "-in", own.key, "-aes256", "-passout", "pass:secret", "-out", locked]
    subprocess.run(command, check=True)
    found = by_name(check_own_certificate(own.certificate, locked, now_s()))["certificate and key"]
    assert (found.level, "encrypted" in found.what) == ("problem", True)


def test_a_servers_certificate_is_none_for_a_gateway(authority):
    findings = check_own_certificate(*authority.server(days=90), now_s())
    assert [one.what for one in findings if one.level == "problem"] == [
        "extendedKeyUsage lacks clientAuth: brokers refuse it"
    ]


def test_an_authority_is_no_certificate_of_a_gateway(authority):
    findings = check_own_certificate(authority.certificate, authority.key, now_s())
    assert any("digitalSignature" in one.what for one in findings if one.level == "problem")


@pytest.mark.parametrize(("mode", "level"), [(0o600, "ok"), (0o640, "ok"), (0o644, "problem"), (0o660, "problem")])
def test_a_secret_is_not_for_everybody(tmp_path, mode, level):
    path = tmp_path / "key"
    path.write_text("s3cr3t")
    path.chmod(mode)
    (found,) = check_secret("key", path)
    assert found.level == level
    assert "s3cr3t" not in found.what


def test_a_secret_that_is_not_there(tmp_path):
    (found,) = check_secret("key", tmp_path / "nothing")
    assert (found.level, "No such file" in found.what) == ("problem", True)


def test_authorities(authority, tmp_path):
    assert [one.level for one in check_authorities(authority.certificate, time.time() + 60)] == [
        "warning"
    ]  # it has 30 days
    assert [one.level for one in check_authorities(authority.certificate, now_s() + 40 * DAY_S)] == ["problem"]
    (leaf,) = check_authorities(authority.client("/CN=gw-1").certificate, now_s())
    assert "not an authority" in leaf.what
    many = tmp_path / "system.pem"
    many.write_bytes(authority.certificate.read_bytes() * 20)
    (found,) = check_authorities(many, now_s() + 400 * DAY_S)
    assert (found.level, "20 certificates" in found.what) == ("ok", True)


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 100, b"-----BEGIN CERTIFICATE-----\n???\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_certificate_is_said_so(tmp_path, content):
    path = tmp_path / "no.pem"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"no\.pem: "):
        read_certificates(path)
    assert worst(check_authorities(path, now_s())) == "problem"
    assert worst(check_own_certificate(path, tmp_path / "key", now_s())) == "problem"


@pytest.fixture(scope="module")
def der(authority):
    command = ["openssl", "x509", "-in", authority.client("/CN=gw-1").certificate, "-outform", "DER"]
    return subprocess.check_output(command)


@given(st.data())
def test_damage_is_an_error_in_words(der, data):
    """Every certificate with changed or missing octets is parsed or refused."""
    octets = bytearray(der)
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, min(400, len(octets) - 1)))] = data.draw(st.integers(0, 255))
    del octets[data.draw(st.integers(1, len(octets))) :]
    try:
        parse_certificate(bytes(octets), "here")
    except InputError as error:
        assert str(error) == "here: damaged"
