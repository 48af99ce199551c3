"""Numbers about this process and machine agree with what we do to them."""

import os
import resource
import subprocess
import sys
import threading

import numpy as np
import pytest

from emtc_agent.health import disk_space, own_process, system_health

MIB = 1 << 20


def test_memory_that_is_taken_and_given_back_shows_in_rss_and_stays_in_the_peak():
    before = own_process()
    block = np.ones(64 * MIB, np.uint8)
    holding = own_process()
    del block
    after = own_process()
    assert holding.rss_bytes - before.rss_bytes > 48 * MIB
    assert holding.rss_bytes - after.rss_bytes > 48 * MIB
    assert after.peak_rss_bytes >= holding.rss_bytes - MIB


def test_open_files_and_threads_are_counted():
    before = own_process()
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    ends = os.pipe()
    during = own_process()
    done.set()
    thread.join()
    for end in ends:
        os.close(end)
    assert during.threads == before.threads + 1
    assert during.open_files == before.open_files + 2
    assert own_process().open_files == before.open_files


def test_processor_time_is_what_getrusage_says():
    sum(range(2_000_000))
    used = resource.getrusage(resource.RUSAGE_SELF)
    assert own_process().cpu_s == pytest.approx(used.ru_utime + used.ru_stime, abs=0.1)


def test_a_program_name_with_spaces_and_brackets_misleads_nobody(tmp_path):
    program = tmp_path / "a) R 1 (b"
    program.symlink_to(sys.executable)
    code = "from emtc_agent.health import own_process; print(own_process().cpu_s < 60)"
    done = subprocess.run([program, "-c", code], capture_output=True, env={"PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.stdout.strip() == b"True", done.stderr


def test_disk_space_is_what_df_says(tmp_path):
    space = disk_space(tmp_path)
    df = subprocess.run(["df", "-B1", "--output=size,avail", tmp_path], capture_output=True, check=True)
    size, available = map(int, df.stdout.split()[-2:])
    assert space.total_bytes == size
    assert space.free_bytes == pytest.approx(available, abs=256 * MIB)  # others write meanwhile
    with pytest.raises(FileNotFoundError):
        disk_space(tmp_path / "nowhere")


def test_this_machine_says_its_load_and_memory():
    machine = system_health()
    assert machine.load_1min >= 0
    assert 0 < machine.available_bytes < 1 << 44


def test_the_hottest_sensor_counts_and_missing_ones_are_none(tmp_path):
    for number, text in enumerate(["41500\n", "55250\n", "asleep\n"]):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "temp").write_text(text)
    assert system_health(thermal=tmp_path).temperature_c == 55.25
    nothing = system_health(tmp_path / "nowhere", tmp_path / "nowhere")
    assert (nothing.load_1min, nothing.available_bytes, nothing.temperature_c) == (None, None, None)
