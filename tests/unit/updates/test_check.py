"""The self-test passes what the exporter would, with the same figures, and nothing else."""

import hashlib
import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundles import members, write
from emtc_agent.detector import RUNTIMES, load_bundle, read_member
from emtc_agent.updates import check, check_rows
from emtc_agent.updates.check import Choice, measure, self_test
from emtc_contract.bundle import CHECK_ROWS, MANIFEST
from emtc_contract.ciciot2023 import CICIOT2023_39
from emtc_contract.edge_v1 import EDGE_V1
from emtc_contract.errors import BundleError, SchemaError
from emtc_export import check_rows as exported_rows
from emtc_export import gates, signing
from model_updates import NAME, SHIPPED

INSTALLED = [kind.name for kind in RUNTIMES if kind.installed]
RAW = read_member(SHIPPED, CHECK_ROWS)
ROWS = check_rows.decode(RAW, 59, "x")
every_model = pytest.mark.parametrize(
    "how", [Choice(name, precision) for name in INSTALLED for precision in ("fp32", "int8")], ids=str
)


def test_the_limits_are_the_exporters():
    for name in ("MAX_AUC_DROP", "MIN_RANK_CORRELATION", "MAX_FLIPS", "_NEAR", "_LOW", "_SAME_MODEL"):
        assert getattr(check, name) == getattr(gates, name)
    assert check.MAX_SCORE_DRIFT == exported_rows.MAX_SCORE_DRIFT
    kinds = ("BENIGN", "ATTACK", "FAR_OUT", "ODD")
    assert [getattr(check_rows, kind) for kind in kinds] == [getattr(exported_rows, kind) for kind in kinds]


@every_model
def test_the_figures_are_the_exporters(how):
    runtime = how.open(load_bundle(SHIPPED))
    ours = [(one.name, one.value, one.limit, one.holds) for one in measure(runtime, ROWS)]
    theirs = gates.measure(runtime, exported_rows.decode(RAW, 59, "x"))
    assert ours == [(one.name, one.value, one.limit, one.holds) for one in theirs]


@every_model
def test_a_good_bundle_passes_and_comes_back_ready(maker, how):
    loaded = self_test(maker.bundle(12), [maker.public], NAME, 12, EDGE_V1, how)
    assert (loaded.runtime.name, loaded.runtime.artifact.precision) == (how.runtime, how.precision)
    assert loaded.bundle.manifest.version == 12


def changed(maker, tmp_path, change_rows=None, change_manifest=lambda _: None, drop=()):
    """A signed bundle with other check rows or another manifest."""
    content = {name: raw for name, raw in members(maker.bundle(12)).items() if name not in drop}
    manifest = json.loads(content[MANIFEST])
    if change_rows is not None:
        with np.load(io.BytesIO(RAW)) as held:
            arrays = dict(held)
        change_rows(arrays)
        output = io.BytesIO()
        np.savez(output, **arrays)
        content[CHECK_ROWS] = output.getvalue()
    manifest["digests"] = {
        name: hashlib.sha256(content[name]).hexdigest() for name in manifest["digests"] if name not in drop
    }
    change_manifest(manifest)
    path = write(tmp_path / "changed.bundle", content | {MANIFEST: json.dumps(manifest)})
    signing.sign(path, maker.secret, "")
    return path


def run_test(path, maker, version=12, name=NAME, schema=EDGE_V1, how=None, keys=None):
    return self_test(path, [maker.public] if keys is None else keys, name, version, schema, how or Choice())


@every_model
def test_scores_other_than_the_trained_networks_fail(maker, tmp_path, how):
    def other_scores(arrays):
        arrays["score"] = arrays["score"][::-1].copy()

    with pytest.raises(BundleError, match=r"changed\.bundle: model.*allowed"):
        run_test(changed(maker, tmp_path, other_scores), maker, how=how)


def test_a_threshold_that_flips_verdicts_fails(maker, tmp_path):
    def blind(manifest):
        for artifact in manifest["artifacts"]:
            artifact["threshold"] *= 10

    with pytest.raises(BundleError, match="verdicts that differ"):
        run_test(changed(maker, tmp_path, change_manifest=blind), maker)


def test_what_was_not_announced_or_not_signed_or_not_for_here_fails(maker, tmp_path):
    good = maker.bundle(12)
    with pytest.raises(BundleError, match=r"holds 'edge-v1-default' version 12, announced were .* version 13"):
        run_test(good, maker, version=13)
    with pytest.raises(BundleError, match="announced were 'other' version 12"):
        run_test(good, maker, name="other")
    with pytest.raises(SchemaError):
        run_test(good, maker, schema=CICIOT2023_39)
    with pytest.raises(BundleError, match="no key is trusted"):
        run_test(good, maker, keys=[])
    other, _ = signing.generate(tmp_path / "other", "")
    with pytest.raises(BundleError, match="signed by another"):
        run_test(good, maker, keys=[other])
    with pytest.raises(BundleError, match=r"has no check\.npz"):
        run_test(changed(maker, tmp_path, drop=[CHECK_ROWS]), maker)


@pytest.mark.parametrize(
    "change",
    [
        {"rows": np.zeros((3, 58), np.float32)},
        {"rows": np.zeros((3, 59))},
        {"rows": np.zeros(59, np.float32)},
        {"rows": np.zeros((0, 59), np.float32), "kind": np.zeros(0, np.int8), "score": np.zeros(0)},
        {"kind": np.zeros(3, np.int8)},
        {"kind": np.array(["a"] * len(ROWS.kind))},
        {"score": np.full(len(ROWS.score), np.nan)},
        {"score": np.zeros((len(ROWS.score), 1))},
        {"threshold": np.float64("nan")},
        {"threshold": np.zeros(1)},
        {"threshold": np.float64(0)},
        {"rows": np.array([{}], dtype=object)},
    ],
    ids=lambda change: str(list(change)),
)
def test_rows_that_make_no_sense_are_refused(change):
    with np.load(io.BytesIO(RAW)) as held:
        arrays = dict(held) | change
    output = io.BytesIO()
    np.savez(output, **arrays)
    with pytest.raises(BundleError, match=r"^x: "):
        check_rows.decode(output.getvalue(), 59, "x")


SMALL = io.BytesIO()
np.savez(SMALL, rows=ROWS.rows[:3], kind=ROWS.kind[:3], score=ROWS.score[:3], threshold=np.float64(1))


@settings(max_examples=300)
@given(st.data())
def test_damaged_rows_are_bundle_errors(data):
    raw = bytearray(SMALL.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    for damaged in (bytes(raw), bytes(raw[:cut])):
        try:
            assert len(check_rows.decode(damaged, 59, "x").rows) <= 3
        except BundleError:
            continue


def test_rows_that_unpack_to_gigabytes_are_not_unpacked():
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.npy", bytes(65 << 20))
    with pytest.raises(BundleError, match="unpacks to more"):
        check_rows.decode(output.getvalue(), 59, "x")
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w") as archive, archive.open("rows.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 59)})
    with pytest.raises(BundleError, match=r"^x: "):
        check_rows.decode(output.getvalue(), 59, "x")


def test_rows_that_cannot_judge_are_refused():
    runtime = Choice(precision="int8").open(load_bundle(SHIPPED))
    for keep in ((check_rows.BENIGN,), (check_rows.ATTACK,), (check_rows.ODD,)):
        mask = ROWS.of_kind(*keep)
        part = check_rows.CheckRows(ROWS.rows[mask], ROWS.kind[mask], ROWS.score[mask], ROWS.threshold)
        with pytest.raises(BundleError, match=r"check\.npz: \d+ benign and \d+ attack rows"):
            measure(runtime, part)
