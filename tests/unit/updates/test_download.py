"""Downloads from a real web server: gone on with where they were cut, bounded, and only from where it is safe."""

import ipaddress
import random
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from emtc_agent.updates.download import Download, DownloadConfig, require_safe_url
from emtc_agent.updates.incoming import Incoming
from emtc_contract.errors import BundleError, InputError, LinkError
from model_updates import WebServer, announced

CONTENT = random.Random(2).randbytes(300_000)
CONFIG = DownloadConfig(timeout_s=2.0, piece_bytes=64_000)


@pytest.fixture
def server():
    with WebServer(CONTENT).running() as running:
        yield running


def start(server, folder, url=None, config=CONFIG, **others):
    incoming = Incoming(folder, announced(CONTENT, url=url or server.url))
    return Download(url or server.url, incoming, config, **others), incoming


def to_its_end(download, most_steps=1_000):
    """Steps until all is there; returns how many it took."""
    steps = 1
    while not download.step():
        steps += 1
        assert steps < most_steps
    return steps


def test_a_download_comes_in_bounded_pieces_over_one_connection(server, tmp_path):
    download, incoming = start(server, tmp_path)
    sizes = [0]
    while not download.step():
        sizes.append(incoming.have_bytes)
        assert 0 < sizes[-1] - sizes[-2] <= CONFIG.piece_bytes
    assert len(sizes) > 4
    assert incoming.finish().read_bytes() == CONTENT
    assert server.asked == [None]


def test_a_cut_download_is_gone_on_with_also_by_another_process(server, tmp_path):
    server.cuts = [100_000, 1, 50_000]
    download, incoming = start(server, tmp_path)
    for have_bytes in (100_000, 100_001):
        with pytest.raises(LinkError, match="bytes early"):
            to_its_end(download)
        assert incoming.have_bytes == have_bytes
    download, incoming = start(server, tmp_path)
    with pytest.raises(LinkError, match="bytes early"):
        to_its_end(download)
    to_its_end(download)
    assert incoming.finish().read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=100001-", "bytes=150001-"]


def test_a_complete_file_asks_nobody(server, tmp_path):
    to_its_end(start(server, tmp_path)[0])
    download, incoming = start(server, tmp_path)
    assert to_its_end(download) == 1
    assert incoming.finish().read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_a_server_without_ranges_begins_again(server, tmp_path):
    server.ranges, server.cuts = False, [100_000]
    download, incoming = start(server, tmp_path)
    with pytest.raises(LinkError):
        to_its_end(download)
    to_its_end(download)
    assert incoming.finish().read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-"]


def test_another_content_is_told_by_its_digest_and_removed(server, tmp_path):
    server.content = CONTENT[:-1] + b"x"
    download, incoming = start(server, tmp_path)
    to_its_end(download)
    with pytest.raises(BundleError, match="not what was announced"):
        incoming.finish()
    assert incoming.have_bytes == 0
    server.content = CONTENT
    to_its_end(download)
    assert incoming.finish().read_bytes() == CONTENT


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("cut", [0, 100_000])
@pytest.mark.parametrize("size", [299_999, 300_001, 100_000, 2_000_000])
def test_a_content_of_another_size_is_refused_before_it_is_read(server, tmp_path, size, cut, ranges):
    download, incoming = start(server, tmp_path)
    if cut:
        server.cuts = [cut]
        with pytest.raises(LinkError):
            to_its_end(download)
    server.content, server.ranges = bytes(size), ranges
    with pytest.raises(BundleError, match="announced were 300000 bytes"):
        download.step()
    assert incoming.have_bytes == 0


def test_a_body_without_a_length_is_read_no_further_than_announced(server, tmp_path):
    server.content, server.claims = CONTENT * 20, ""
    download, incoming = start(server, tmp_path)
    with pytest.raises(BundleError, match="holds more"):
        to_its_end(download)
    assert incoming.have_bytes == 0
    server.content = CONTENT
    to_its_end(download)
    assert incoming.finish().read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("mood", "said"),
    [
        ({"status": 404}, "HTTP 404"),
        ({"status": 206}, "asked for octets from 0 on"),
        ({"status": 206, "headers": {"Content-Range": "bytes 5-9/300000"}}, "asked for octets from 0 on"),
        ({"headers": {"Content-Encoding": "gzip"}}, "sent compressed"),
        ({"headers": {"X": "y" * 70_000}}, "header line"),
        ({"headers": {f"X{number}": "y" for number in range(200)}}, "more than 100 headers"),
    ],
)
def test_answers_that_make_no_sense_are_refused_and_nothing_is_taken(server, tmp_path, mood, said):
    for name, value in mood.items():
        setattr(server, name, value)
    download, incoming = start(server, tmp_path)
    with pytest.raises(LinkError, match=said):
        download.step()
    assert incoming.have_bytes == 0


def test_redirections_are_few_and_lead_to_safe_places_only(server, tmp_path):
    server.redirects = {"/x.bundle": "/1", "/1": "/2", "/2": "/3"}
    download, incoming = start(server, tmp_path)
    to_its_end(download)
    assert incoming.finish().read_bytes() == CONTENT
    server.redirects["/3"] = "/x.bundle"
    for where, said in (
        ("/x.bundle", "more than 3 redirections"),
        ("http://192.0.2.1/x", "this machine only"),
        ("file:///etc/passwd", "neither https:// nor http://"),
        ("https://user:secret@192.0.2.1/", "credentials"),
        ("", "more than 3 redirections"),
    ):
        server.redirects = {"/x.bundle": where}
        incoming.restart()
        with pytest.raises(LinkError, match=said):
            start(server, tmp_path)[0].step()


def test_only_the_machine_itself_may_redirect_to_itself(server, tmp_path):
    download, _ = start(server, tmp_path, url="https://192.0.2.1/x")
    with pytest.raises(LinkError, match="redirected to this machine itself"):
        download._elsewhere("http://127.0.0.1/x")
    assert download._elsewhere("https://192.0.2.2/x") == "https://192.0.2.2/x"


@pytest.fixture
def certificate(tmp_path):
    """Files of a certificate that 127.0.0.1 gave itself, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = datetime.now(UTC)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    built = built.serial_number(1).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = built.add_extension(address, critical=False).sign(key, hashes.SHA256())
    form = Encoding.PEM
    (tmp_path / "cert.pem").write_bytes(made.public_bytes(form))
    (tmp_path / "key.pem").write_bytes(key.private_bytes(form, PrivateFormat.PKCS8, NoEncryption()))
    return tmp_path / "cert.pem", tmp_path / "key.pem"


def test_https_needs_a_certificate_that_is_trusted_and_for_that_host(certificate, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server, folder = WebServer(CONTENT), tmp_path / "incoming"
    folder.mkdir()
    trusting = DownloadConfig(timeout_s=2.0, ca_file=str(certificate[0]))
    with server.running(context):
        with pytest.raises(LinkError, match=r"CERTIFICATE_VERIFY_FAILED|self-signed"):
            start(server, folder)[0].step()
        with pytest.raises(LinkError, match=r"CERTIFICATE_VERIFY_FAILED|mismatch"):
            start(server, folder, url=server.url.replace("127.0.0.1", "localhost"), config=trusting)[0].step()
        assert server.asked == []
        download, incoming = start(server, folder, config=trusting)
        to_its_end(download)
    assert incoming.finish().read_bytes() == CONTENT


def test_nobody_there_is_a_link_error(server, tmp_path):
    gone = WebServer(b"")
    with gone.running():
        pass
    with pytest.raises(LinkError, match="refused"):
        start(server, tmp_path, url=gone.url)[0].step()


def test_a_server_that_falls_silent_is_left_after_the_timeout(server, tmp_path):
    server.claims, server.content = "300000", CONTENT[:1_000]
    server.headers = {"Connection": "keep-alive"}
    config = DownloadConfig(timeout_s=0.1)
    with server.silent():
        download, incoming = start(server, tmp_path, config=config)
        with pytest.raises(LinkError, match="timed out"):
            to_its_end(download)
    assert incoming.have_bytes == 1_000


def test_a_step_ends_early_when_there_is_something_else_to_do(server, tmp_path):
    download, incoming = start(server, tmp_path, config=DownloadConfig(), hurry=lambda: True)
    assert not download.step()
    assert 0 < incoming.have_bytes <= 65_536 < DownloadConfig().piece_bytes
    to_its_end(download)
    assert incoming.finish().read_bytes() == CONTENT


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1/x",
        "http://127.0.0.1.example.com/x",
        "http://127.0.0.1@example.com/x",
        "http://2130706433/x",
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "https:///x",
        "https://host:99999/x",
        "https://[::1/x",
        "https://user@host/x",
        "",
    ],
)
def test_unsafe_urls_are_refused(url):
    with pytest.raises(InputError, match="url"):
        require_safe_url(url)


@pytest.mark.parametrize("url", ["https://host/x", "http://127.8.9.1:80/x", "http://[::1]/x", "http://localhost/x"])
def test_safe_urls_are_not(url):
    assert require_safe_url(url).geturl() == url
