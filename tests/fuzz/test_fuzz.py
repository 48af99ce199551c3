"""A short, repeatable piece of ``scripts/fuzz``."""

import numpy as np
import pytest

from fuzz import corpus
from fuzz.fuzzer import Fuzzer
from fuzz.packet_mutator import PacketMutator


@pytest.fixture
def fuzzer(tmp_path):
    return Fuzzer(corpus.packets(), corpus.files(), seed=0, failures=tmp_path / "failures")


def test_mutants_break_nothing(fuzzer):
    fuzzer.round(0, batches=2, files=120)
    assert (fuzzer.tried_packets, fuzzer.tried_files) == (32_768, 120)
    assert 0 < fuzzer.refused < 60
    assert not fuzzer.failures.exists()


def test_an_input_that_fails_is_kept_and_named(fuzzer):
    def fail(batch, columns, hints):
        assert not len(batch), "a packet"

    fuzzer.check_columns = fail
    with pytest.raises(AssertionError, match="a packet") as caught:
        fuzzer.round(3, batches=1, batch_packets=10)
    kept = fuzzer.failures / "seed-0-round-3.npz"
    assert caught.value.__notes__ == [f"input: {kept}"]
    with np.load(kept) as saved:
        assert len(saved["start"]) == 10


def test_mutants_depend_on_their_seed_only():
    mutator = PacketMutator(corpus.packets())
    one, other, third = (mutator.batch(np.random.default_rng(seed), 500) for seed in (1, 1, 2))
    assert one.data.tobytes() == other.data.tobytes() != third.data.tobytes()
    assert one.ts_us.tolist() == other.ts_us.tolist()
