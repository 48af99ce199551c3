"""The report: from recordings to a page with every table and plot, and an error in words where it cannot be."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

import capture_files as cf
import frames as f
from programs import assert_one_line_error, run

BASE = 1_700_000_000_000_000
DEVICES = 4


def record(folder, seed, seconds, attacks=0):
    """Devices that report four times a second; some ``attacks`` of 20 s, a scan of a device's ports each."""
    rng = np.random.default_rng(seed)
    packets, labels = [], ["start_us,end_us,attacker,victim,family,type"]
    for device in range(1, DEVICES + 1):
        for at in np.arange(0, seconds, 0.25):
            payload = bytes(int(rng.integers(20, 60)))
            inner = f.ipv4(f.udp(payload, 5000, 5683), f"10.0.0.{device}", "203.0.113.9", f.UDP)
            jitter = int(rng.integers(0, 100_000))
            packets.append((BASE + int(at * 1e6) + jitter, f.ether(inner, src=device, dst=99)))
    for number in range(attacks):
        begin = BASE + (60 + 60 * number) * 1_000_000
        for at in range(2000):
            inner = f.ipv4(f.tcp(b"", 40_000, 1 + at, flags=2), "10.0.0.200", "10.0.0.1")
            packets.append((begin + at * 10_000, f.ether(inner, src=200, dst=1)))
        labels.append(f"{begin},{begin + 20_000_000},10.0.0.200,10.0.0.1,recon,{'ab'[number % 2]}-scan")
    folder.mkdir()
    cf.write_pcap(folder / "capture.pcap", sorted(packets, key=lambda one: one[0]))
    (folder / "labels.csv").write_text("\n".join(labels) + "\n")
    (folder / "scenario.lock.toml").write_text("[[device]]\nname = 'd'\n" * DEVICES)
    return folder


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    runs = {
        "train": record(folder / "train", 1, 1500),
        "calibrate": record(folder / "calibrate", 2, 2200),
        "test": record(folder / "test", 3, 400, attacks=4),
    }
    arguments = ["fit", runs["train"], "--calibrate", runs["calibrate"], "-o", folder / "m.pt", "--preset", "tiny"]
    done = run("emtc-trainer", *arguments, "--epochs", 3)
    assert done.returncode == 0, done.stderr
    return folder, [part for role, path in runs.items() for part in (f"--{role}", path)]


def test_the_report_has_every_part(material):
    folder, runs = material
    done = run("emtc-trainer", "report", folder / "m.pt", *runs, "-o", folder / "page.html")
    assert done.returncode == 0, done.stderr
    page, text = (folder / "page.html").read_text(), (folder / "page.md").read_text()
    for part in ("Incidents", "Windows", "Attacks by type", "Trade-off", "One run", "Single features"):
        assert f"<h2>{part}</h2>" in page
        assert (f"## {part}\n" in text) == (part not in ("Trade-off", "One run")), "those hold plots only"
    for name in ("emtc-guard", "counting rules", "GMM", "Isolation Forest", "paper&#x27;s AE", "recon/a-scan"):
        assert name in page
    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(plots) == 6
    for plot in plots:
        ElementTree.fromstring(plot)
    assert not re.search(r"""(src|href)=["']https?:""", page), "the page needs nothing from elsewhere"
    assert "| emtc-guard | 1.000" in text, "two thousand SYNs to ports nobody uses are not to be missed"


def test_what_was_trained_on_is_not_tested_on(material):
    folder, runs = material
    done = run("emtc-trainer", "report", folder / "m.pt", *runs[:4], "--test", runs[1], "-o", folder / "no.html")
    assert_one_line_error(done, "fitted on this recording", code=2)
    assert not (folder / "no.html").exists()


def test_too_little_calibration_is_said(material, tmp_path):
    folder, runs = material
    short = record(tmp_path / "short", 4, 60)
    arguments = [*runs[:2], "--calibrate", short, *runs[4:], "--no-rivals", "-o", tmp_path / "no.html"]
    done = run("emtc-trainer", "report", folder / "m.pt", *arguments)
    assert done.returncode == 2
    assert b"1,000 benign windows" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "no.html").exists()
