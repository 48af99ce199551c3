"""What is on its way: pieces in any order, over restarts and power cuts, and nothing else on the disk."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emtc_agent.updates.incoming import Incoming, discard
from emtc_contract.errors import BundleError, MessageError
from model_updates import announced
from power_cuts import every_cut

CONTENT = random.Random(1).randbytes(10_000)
CHUNK = 1_024


def piece(number, content=CONTENT):
    return content[number * CHUNK : (number + 1) * CHUNK]


@settings(max_examples=10)
@given(st.permutations(range(10)), st.lists(st.integers(0, 9), max_size=5), st.sets(st.integers(0, 15)))
def test_chunks_come_in_any_order_repeated_and_over_restarts(tmp_path_factory, order, repeated, restarts):
    folder = tmp_path_factory.mktemp("chunks")
    incoming, seen = Incoming(folder, announced(CONTENT, CHUNK)), set()
    for step, number in enumerate([*repeated, *order]):
        if step in restarts:
            incoming = Incoming(folder, announced(CONTENT, CHUNK))
        assert incoming.put(number, piece(number)) == (number not in seen)
        seen.add(number)
        assert incoming.have_bytes == sum(len(piece(one)) for one in seen)
    assert incoming.missing(8) == ()
    assert incoming.finish().read_bytes() == CONTENT
    assert (folder / "incoming.bundle.minisig").read_text() == "signature"
    assert sum(path.stat().st_size for path in folder.iterdir()) < len(CONTENT) + 1_000


def test_chunks_that_do_not_fit_are_refused_and_stay_wanted(tmp_path):
    incoming = Incoming(tmp_path, announced(CONTENT, CHUNK))
    short = len(CONTENT) - 9 * CHUNK
    for number, size in ((0, 0), (0, CHUNK - 1), (0, CHUNK + 1), (9, CHUNK), (9, short - 1), (10, CHUNK), (4_095, 1)):
        with pytest.raises(MessageError, match=f"chunk {number}"):
            incoming.put(number, bytes(size))
    assert incoming.missing(3) == tuple(f"{announced(CONTENT, CHUNK).sha8}-{number}" for number in range(3))
    assert incoming.have_bytes == 0
    with pytest.raises(MessageError):
        Incoming(tmp_path, announced(CONTENT, url="https://x")).put(0, bytes(CHUNK))


def test_damaged_content_is_removed_and_comes_again(tmp_path):
    incoming = Incoming(tmp_path, announced(CONTENT, CHUNK))
    for number in range(10):
        incoming.put(number, piece(number) if number != 3 else bytes(CHUNK))
    with pytest.raises(BundleError, match="not what was announced"):
        incoming.finish()
    assert not (tmp_path / "incoming.bundle").exists()
    assert len(incoming.missing(99)) == 10
    for number in range(10):
        incoming.put(number, piece(number))
    assert incoming.finish().read_bytes() == CONTENT


def test_a_file_that_disappeared_is_damage_too(tmp_path):
    incoming = Incoming(tmp_path, announced(CONTENT, CHUNK))
    for number in range(10):
        incoming.put(number, piece(number))
    (tmp_path / "incoming.bundle").unlink()
    with pytest.raises(BundleError, match="not what was announced"):
        incoming.finish()
    assert len(incoming.missing(99)) == 10


@pytest.mark.parametrize("url", [None, "https://x"])
def test_what_belongs_to_another_announcement_is_removed(tmp_path, url):
    incoming = Incoming(tmp_path, announced(CONTENT, CHUNK))
    incoming.put(5, piece(5))
    other = CONTENT[::-1]
    incoming = Incoming(tmp_path, announced(other, CHUNK, url=url))
    assert incoming.have_bytes == 0
    if url:
        incoming.append(other)
    for number in range(incoming.announcement.chunks or 0):
        incoming.put(number, piece(number, other))
    assert incoming.finish().read_bytes() == other


@pytest.mark.parametrize("content", [b"", b"junk", b"[" * 9_999, b'{"received":"zz"}', b"\xff" * 99])
def test_a_damaged_record_means_beginning_again(tmp_path, content):
    Incoming(tmp_path, announced(CONTENT, CHUNK)).put(5, piece(5))
    (tmp_path / "incoming.json").write_bytes(content)
    incoming = Incoming(tmp_path, announced(CONTENT, CHUNK))
    assert incoming.have_bytes == 0
    assert not (tmp_path / "incoming.bundle").exists()


def test_a_power_cut_at_any_operation_costs_one_piece_at_most(tmp_path):
    def put(number, chunks):
        folder = tmp_path / str(number)
        folder.mkdir(exist_ok=True)
        incoming = Incoming(folder, announced(CONTENT, CHUNK))
        for chunk in chunks:
            had = incoming.have_bytes
            incoming.put(chunk, piece(chunk))
            assert incoming.have_bytes - had <= CHUNK
        return incoming

    def reopened(number):
        incoming = put(number, ())
        assert incoming.have_bytes == 0 or incoming.path.read_bytes() == piece(0), "what counts is there"
        assert put(number, range(10)).finish().read_bytes() == CONTENT, "no damage that only the digest tells"

    assert every_cut(lambda number: put(number, (0,)), reopened) >= 20


def test_a_power_cut_while_a_download_goes_on_is_gone_on_from(tmp_path):
    def append(number):
        folder = tmp_path / str(number)
        folder.mkdir(exist_ok=True)
        incoming = Incoming(folder, announced(CONTENT, url="https://x"))
        while incoming.have_bytes < len(CONTENT):
            incoming.append(CONTENT[incoming.have_bytes :][:4_000])
        return incoming

    def reopened(number):
        incoming = append(number)
        try:
            incoming.finish()
        except BundleError:
            incoming = append(number)  # a torn piece: the digest told, and all of it comes again
        assert incoming.finish().read_bytes() == CONTENT

    assert every_cut(append, reopened) >= 30


def test_nothing_is_left_of_what_is_discarded(tmp_path):
    incoming = Incoming(tmp_path, announced(CONTENT, url="https://x"))
    incoming.append(CONTENT)
    incoming.finish()
    discard(tmp_path)
    assert list(tmp_path.iterdir()) == []
    discard(tmp_path)
