"""``emtc-export announce`` writes what gateways take."""

import hashlib
import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from emtc_agent.detector.signature import require_signed
from emtc_contract.errors import BundleError, InputError, MessageError
from emtc_contract.topics import parse
from emtc_contract.updates import decode_announcement, decode_offer
from emtc_export import announcing, signing
from model_updates import NAME
from programs import assert_one_line_error, lines, run

MINISIGN = shutil.which("minisign")


def test_chunks_and_commands(maker, tmp_path):
    bundle = maker.bundle(12)
    how = ("--key", maker.secret, "--chunk-bytes", "100000", "-o", tmp_path / "out", "--to", "acme/gw-1")
    done = run("emtc-export", "announce", bundle, *how)
    assert done.returncode == 0, done.stderr
    published = {}
    for line in lines(done.stdout):
        words = shlex.split(line)
        assert words[:5] == ["mosquitto_pub", "-V", "mqttv5", "-q", "1"]
        assert "-r" in words
        topic = parse(words[words.index("-t") + 1])
        assert (topic.client, topic.gateway) == ("acme", "gw-1")
        published[topic.channel, topic.argument] = Path(words[words.index("-f") + 1]).read_bytes()
    offer = decode_offer(published.pop(("model", None)))
    require_signed(offer.announcement.encode(), offer.signature.encode(), [maker.public], "x")
    one = decode_announcement(offer.announcement.encode())
    content = bundle.read_bytes()
    assert (one.name, one.version, one.size_bytes) == (NAME, 12, len(content))
    assert one.sha256 == hashlib.sha256(content).hexdigest()
    require_signed(content, one.bundle_signature.encode(), [maker.public], "x")
    chunks = [published[("chunk", f"{one.sha8}-{number}")] for number in range(one.chunks)]
    assert len(published) == one.chunks
    assert b"".join(chunks) == content
    assert {len(chunk) for chunk in chunks[:-1]} == {100_000}


def test_a_url_needs_no_chunks(maker, tmp_path):
    files = announcing.announce(maker.bundle(12), maker.secret, "", tmp_path, url="https://example.com/x")
    assert [file.name for file in files] == ["announcement.json"]
    one = decode_announcement(decode_offer(files[0].read_bytes()).announcement.encode())
    assert (one.url, one.chunks) == ("https://example.com/x", None)


def test_a_changed_announcement_is_not_signed_any_more(maker, tmp_path):
    files = announcing.announce(maker.bundle(12), maker.secret, "", tmp_path, url="https://example.com/x")
    offer = json.loads(files[0].read_bytes())
    changed = offer["announcement"].replace('"version":12', '"version":13')
    assert changed != offer["announcement"]
    with pytest.raises(BundleError, match="not as its maker signed it"):
        require_signed(changed.encode(), offer["signature"].encode(), [maker.public], "the announcement")
    with pytest.raises(BundleError, match="no key is trusted"):
        require_signed(offer["announcement"].encode(), offer["signature"].encode(), [], "the announcement")
    with pytest.raises(BundleError, match="not a minisign signature"):
        require_signed(b"x", b"junk", [maker.public], "the announcement")


def test_encrypted_keys_need_their_password(maker, tmp_path):
    _, secret = signing.generate(tmp_path / "mine", "pass word")
    with pytest.raises(InputError, match="wrong password"):
        announcing.announce(maker.bundle(12), secret, "guess", tmp_path / "out")
    with pytest.raises(InputError, match="encrypted"):
        announcing.announce(maker.bundle(12), secret, "", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert len(announcing.announce(maker.bundle(12), secret, "pass word", tmp_path / "out")) > 1


def test_wrong_input_is_an_error_in_words(maker, tmp_path):
    bundle, key = maker.bundle(12), maker.secret
    with pytest.raises(MessageError, match="url"):
        announcing.announce(bundle, key, "", tmp_path / "out", url="ftp://x")
    (tmp_path / "file").write_bytes(b"junk")
    with pytest.raises(InputError, match="file"):
        announcing.announce(bundle, key, "", tmp_path / "file")
    out = ("-o", tmp_path / "out")
    done = run("emtc-export", "announce", tmp_path / "file", "--key", key, *out)
    assert_one_line_error(done, "not a readable zip", code=2)
    assert_one_line_error(run("emtc-export", "announce", bundle, "--key", tmp_path / "file", *out), "file", code=2)
    done = run("emtc-export", "announce", bundle, "--key", key, *out, "--to", "acme")
    assert_one_line_error(done, "gateway", code=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(MINISIGN is None, reason="minisign is not installed")
def test_minisign_agrees(maker, tmp_path):
    files = announcing.announce(maker.bundle(12), maker.secret, "", tmp_path, url="https://example.com/x")
    offer = json.loads(files[0].read_bytes())
    (tmp_path / "text").write_text(offer["announcement"])
    (tmp_path / "text.minisig").write_text(offer["signature"])
    command = [MINISIGN, "-V", "-p", maker.public, "-m", tmp_path / "text"]
    assert b"announcement of edge-v1-default version 12" in subprocess.check_output(command)
