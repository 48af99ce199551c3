"""The metrics file, read by a strict parser of the text format that the test brings along."""

import math
import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emtc_agent.health import Metric, render, write_metrics

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
_PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')


def unescape(text):
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), text)


def pairs(text):
    found, at = {}, 0
    while at < len(text):
        match = _PAIR.match(text, at)
        assert match, text[at:]
        assert match[1] not in found
        found[match[1]] = unescape(match[2])
        at = match.end()
    return found


def parse(text):
    """Families as {name: (kind, help, {labels: value})}; refuses whatever the format's grammar does not allow."""
    assert text == "" or text.endswith("\n")
    families, current = {}, None
    for line in text.split("\n")[:-1]:
        if line.startswith("# HELP "):
            _, _, name, told = line.split(" ", 3)
            assert name not in families, "a family is in one piece"
            current = name
            families[name] = [None, unescape(told), {}]
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == current
            assert families[name][0] is None
            assert kind in ("counter", "gauge")
            families[name][0] = kind
        else:
            match = _SAMPLE.fullmatch(line)
            assert match, line
            assert match[1] == current
            labels = frozenset(pairs(match[2] or "").items())
            assert labels not in families[current][2]
            families[current][2][labels] = float(match[3])
    return {name: tuple(family) for name, family in families.items()}


def test_the_file_as_it_looks():
    metrics = [
        Metric("emtc_packets_total", "counter", "Packets captured.", 12, {"interface": "eth0"}),
        Metric("emtc_resident_memory_bytes", "gauge", "Memory held.", 45_000_000),
        Metric("emtc_packets_total", "counter", "Packets captured.", 7, {"interface": 'wwan"0'}),
    ]
    assert render(metrics) == (
        "# HELP emtc_packets_total Packets captured.\n"
        "# TYPE emtc_packets_total counter\n"
        'emtc_packets_total{interface="eth0"} 12\n'
        'emtc_packets_total{interface="wwan\\"0"} 7\n'
        "# HELP emtc_resident_memory_bytes Memory held.\n"
        "# TYPE emtc_resident_memory_bytes gauge\n"
        "emtc_resident_memory_bytes 45000000\n"
    )


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUE = st.one_of(st.integers(-(2**53), 2**53), st.floats())


@given(
    st.lists(st.tuples(st.sampled_from(["emtc_a", "emtc_b_total", "emtc_c_bytes"]), TEXT, VALUE), max_size=12), TEXT
)
def test_whatever_stands_in_labels_and_help_is_read_back(rows, told):
    unique = {(name, label): value for name, label, value in rows}
    kinds = {True: "counter", False: "gauge"}
    metrics = [
        Metric(name, kinds[name.endswith("_total")], told, value, {"x": label, "y": "\\"})
        for (name, label), value in unique.items()
    ]
    families = parse(render(metrics))
    read = {
        (name, dict(labels)["x"]): value
        for name, (_, _, samples) in families.items()
        for labels, value in samples.items()
    }
    assert read.keys() == unique.keys()
    for key, value in unique.items():
        assert read[key] == value or (math.isnan(read[key]) and math.isnan(value))
    assert all(kind == kinds[name.endswith("_total")] and back == told for name, (kind, back, _) in families.items())


@pytest.mark.parametrize(
    ("name", "kind"),
    [("emtc_packets", "counter"), ("emtc_queue_total", "gauge"), ("packets_total", "counter"), ("emtc_é", "gauge")],
)
def test_names_follow_the_rules(name, kind):
    with pytest.raises(ValueError, match="no name for"):
        Metric(name, kind, "x", 1)


def test_labels_follow_the_rules():
    with pytest.raises(ValueError, match="no name for a label"):
        Metric("emtc_x", "gauge", "x", 1, {"a-b": "c"})


def test_contradictions_are_refused():
    one = Metric("emtc_x", "gauge", "x", 1)
    with pytest.raises(ValueError, match="two kinds or helps"):
        render([one, Metric("emtc_x", "gauge", "y", 1, {"a": "b"})])
    with pytest.raises(ValueError, match="the same labels twice"):
        render([one, Metric("emtc_x", "gauge", "x", 2)])


def test_a_reader_sees_the_old_file_or_the_new_one_never_a_part(tmp_path):
    path = tmp_path / "emtc.prom"
    sizes = (1, 400)
    sets = [[Metric("emtc_x", "gauge", "x", n, {"n": str(n)}) for n in range(size)] for size in sizes]
    whole = {render(metrics) for metrics in sets}
    write_metrics(path, sets[0])
    done = threading.Event()
    seen = set()

    def read():
        while not done.is_set():
            seen.add(path.read_text())
            assert [one.name for one in tmp_path.glob("*.prom")] == ["emtc.prom"]

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(300):
        write_metrics(path, sets[turn % 2])
    done.set()
    reader.join()
    assert seen
    assert seen <= whole


def test_everybody_may_read_it_and_a_failed_write_leaves_nothing(tmp_path):
    path = tmp_path / "emtc.prom"
    write_metrics(path, [Metric("emtc_x", "gauge", "x", 1)])
    assert path.stat().st_mode & 0o777 == 0o644
    (tmp_path / "folder.prom").mkdir()
    with pytest.raises(OSError):
        write_metrics(tmp_path / "folder.prom", [])
    assert sorted(one.name for one in tmp_path.iterdir()) == ["emtc.prom", "folder.prom"]
