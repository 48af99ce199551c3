"""Official CICIoT2023 tables are read as they are; what is divided is divided once, and written down."""

import msgspec
import numpy as np
import pytest

from ciciot_tables import CLASSES, table
from emtc_contract.ciciot2023 import CICIOT2023_39, RATE_LIMIT
from emtc_contract.edge_v1 import EDGE_V1
from emtc_contract.errors import FeatureFileError, InputError
from emtc_trainer.ciciot_csv import layout_of, read_ciciot
from emtc_trainer.ciciot_labels import CLASSES as LABELS
from emtc_trainer.ciciot_labels import label_of, label_of_file
from emtc_trainer.data import load
from emtc_trainer.material import find_sources
from emtc_trainer.seen import SeenRows
from emtc_trainer.splitting import RECORD, SplitConfig, one_schema, split
from rows import benign_rows
from support import SHARED, needs_shared

FILES = ("train", "train-attacks", "calibrate", "calibrate-attacks", "test")


def rows_of(path, **options):
    pieces = list(read_ciciot(path, layout_of(path), **options))
    return np.concatenate([piece.features for piece in pieces]), [name for piece in pieces for name in piece.label]


def test_there_are_33_attacks_in_7_families():
    assert len(LABELS) == 34
    assert {label.split("/")[0] for label in LABELS} == {
        "",
        "DDoS",
        "DoS",
        "Mirai",
        "Recon",
        "Spoofing",
        "Web",
        "BruteForce",
    }


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("BENIGN", ""),
        ("Benign_Final", ""),
        ("DDOS-ICMP_FLOOD", "DDoS/ICMP_Flood"),
        ("VULNERABILITYSCAN", "Recon/VulnerabilityScan"),
        ("MITM-ArpSpoofing", "Spoofing/MITM-ArpSpoofing"),
        ("Uploading_Attack", "Web/Uploading_Attack"),
        ("Backdoor", None),
    ],
)
def test_classes_are_known_by_each_spelling(name, label):
    assert label_of(name) == label


def test_a_file_of_one_class_is_known_by_its_name_or_folder(tmp_path):
    assert label_of_file(tmp_path / "DDoS-ICMP_Flood12.pcap.csv") == "DDoS/ICMP_Flood"
    assert label_of_file(tmp_path / "Mirai-udpplain" / "part7.csv") == "Mirai/udpplain"
    assert label_of_file(tmp_path / "part7.csv") is None


@pytest.mark.parametrize(("generation", "label"), [(46, "label"), (39, "Label")])
def test_both_generations_are_read_whatever_the_piece(tmp_path, generation, label):
    path = tmp_path / "part-00000.csv"
    path.write_text(table(generation, 500, label=label))
    features, labels = rows_of(path)
    assert features.shape == (500, generation)
    assert set(labels) == {label_of(name) for name in CLASSES}
    small, same = rows_of(path, piece_bytes=4096)
    assert np.array_equal(features, small)
    assert same == labels
    first = [float(field) for field in path.read_text().splitlines()[1].split(",")[:-1]]
    assert features[0].tolist() == first


def test_what_cannot_be_a_number_is_made_one_or_left_out(tmp_path):
    lines = table(39, 3, label="Label").splitlines()
    place = {name: at for at, name in enumerate(CICIOT2023_39.columns)}
    changed = [line.split(",") for line in lines[1:]]
    changed[0][place["Rate"]] = "inf"
    changed[1][place["Std"]] = changed[1][place["Variance"]] = ""
    changed[2][place["AVG"]] = ""
    path = tmp_path / "Merged01.csv"
    path.write_text("\n".join([lines[0], *(",".join(line) for line in changed)]) + "\n")
    features, _ = rows_of(path)
    assert len(features) == 2
    assert features[0, place["Rate"]] == RATE_LIMIT
    assert features[1, place["Std"]] == 0


@pytest.mark.parametrize("damage", ["class", "number", "short", "nameless"])
def test_a_broken_table_is_refused_by_name(tmp_path, damage):
    text = table(46, 20, label=None if damage == "nameless" else "label")
    lines = text.splitlines()
    lines[5] = {
        "class": lines[5].rsplit(",", 1)[0] + ",Nonsense",
        "number": "x" + lines[5],
        "short": lines[5].split(",", 1)[1],
        "nameless": lines[5],
    }[damage]
    path = tmp_path / "part.csv"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(FeatureFileError, match=r"part\.csv"):
        rows_of(path)


def test_other_tables_are_not_taken_for_official_ones(tmp_path):
    path = tmp_path / "part.csv"
    path.write_text(table(46, 2).replace("Weight", "Height"))
    assert layout_of(path) is None
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FeatureFileError, match=r"part\.csv"):
        layout_of(path)


@needs_shared
def test_real_rows_of_the_first_release_are_read():
    folder = SHARED / "data" / "ciciot" / "original46"
    sources = find_sources([folder], EDGE_V1)
    assert one_schema(sources).name == "ciciot2023-46"
    labels = [name for source in sources for piece in source.rows() for name in piece.label]
    assert len(labels) == 38
    assert labels.count("") == 3


def test_repeated_rows_are_found_over_all_pieces():
    rng = np.random.default_rng(3)
    rows = rng.integers(0, 9, (4000, 4)).astype(np.float32)
    labels = rng.choice(np.array(["", "a/b", "c/d"], dtype=object), len(rows))
    known, expected, contradicted = {}, [], 0
    for row, label in zip(map(bytes, rows), labels, strict=True):
        expected.append(row not in known)
        contradicted += known.setdefault(row, label) != label
    for size in (1, 7, 1000, 4000):
        seen = SeenRows()
        pieces = [seen.first_of(rows[at : at + size], labels[at : at + size]) for at in range(0, 4000, size)]
        assert np.concatenate(pieces).tolist() == expected
        assert seen.repeated == expected.count(False)
        assert seen.contradicted == contradicted


@pytest.mark.parametrize("by", ["file", "row"])
def test_each_row_goes_to_one_side_and_the_record_says_where(tmp_path, by):
    folder = tmp_path / "tables"
    folder.mkdir()
    for number in range(6):
        (folder / f"part-0000{number}.csv").write_text(table(39, 300, seed=number // 2, label="Label"))
    sources = find_sources([folder], EDGE_V1)
    out = tmp_path / "out"
    record = split(sources, one_schema(sources), out, SplitConfig(by=by, shares=(0.5, 0.25, 0.25)), lambda *_: None)
    assert record.duplicates == 900  # every table is there twice
    assert record.contradicted == 0
    sets = {name: load([out / f"{name}.parquet"], name, CICIOT2023_39, lambda _: None) for name in FILES}
    rows = [row.tobytes() for data in sets.values() for row in data.features]
    assert len(rows) == len(set(rows)) == 900
    assert not (sets["train"].label != "").any()
    assert (sets["train-attacks"].label != "").all()
    assert len(set(sets["test"].label.tolist())) == len(CLASSES)
    written = msgspec.json.decode((out / RECORD).read_bytes())
    held = {role: sum(one["rows"].get(role, 0) for one in written["sources"]) for role in ("train", "test")}
    assert held == {"train": len(sets["train"]) + len(sets["train-attacks"]), "test": len(sets["test"])}
    if by == "file":
        assert all(len([n for n in one["rows"].values() if n]) <= 1 for one in written["sources"])


def test_dividing_by_time_needs_times_and_keeps_their_order(tmp_path):
    from emtc_agent.feature_files import CsvFeatureWriter, FeatureRows

    number = 100
    nothing = np.full(number, "", dtype=object)
    times = np.arange(number) * 1_000_000
    rows = FeatureRows(EDGE_V1, benign_rows(1, number).astype(np.float64), nothing, times, times, nothing, "rows.csv")
    with CsvFeatureWriter(tmp_path / "rows.csv", EDGE_V1) as writer:
        writer.write(rows)
    sources = find_sources([tmp_path / "rows.csv"], EDGE_V1)
    split(sources, EDGE_V1, tmp_path / "out", SplitConfig(by="time"), lambda *_: None)
    ends = []
    for name in ("train", "calibrate", "test"):
        data = load([tmp_path / "out" / f"{name}.parquet"], name, EDGE_V1, lambda _: None)
        ends += [int(data.first_us.min()), int(data.first_us.max())]
    assert ends == sorted(ends)
    (tmp_path / "part.csv").write_text(table(46, 10))
    timeless = find_sources([tmp_path / "part.csv"], EDGE_V1)
    with pytest.raises(InputError, match="no time"):
        split(timeless, one_schema(timeless), tmp_path / "other", SplitConfig(by="time"), lambda *_: None)
    assert not (tmp_path / "other").exists()


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path):
    for number in range(3):
        (tmp_path / f"part-{number}.csv").write_text(table(46, 10, seed=number))
    (tmp_path / "part-2.csv").write_text(table(46, 10).replace("\n", "\nx", 5))
    sources = find_sources([tmp_path], EDGE_V1)
    with pytest.raises(FeatureFileError):
        split(sources, one_schema(sources), tmp_path / "out", SplitConfig(), lambda *_: None)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["part-0.csv", "part-1.csv", "part-2.csv"]
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="exists"):
        split(sources, one_schema(sources), tmp_path / "out", SplitConfig(), lambda *_: None)
