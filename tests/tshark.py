"""Running capinfos and tshark over many captures.

A start of tshark costs a quarter of a second of a core, more than most captures take: mergecap (which reads with
Wireshark's own readers) chains many captures into one stream for it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

needs_tshark = pytest.mark.skipif(
    not all(map(shutil.which, ("tshark", "capinfos", "mergecap"))), reason="needs tshark, capinfos and mergecap"
)
_PREFERENCES = (  # every packet by itself; the analysis of sequence numbers costs minutes
    "ip.defragment:FALSE",
    "ipv6.defragment:FALSE",
    "tcp.desegment_tcp_streams:FALSE",
    "tcp.analyze_sequence_numbers:FALSE",
    "tcp.try_heuristic_first:FALSE",
    "udp.try_heuristic_first:FALSE",
)
_IS_PACKET = "frame.encap_type"  # other blocks of a pcapng are frames without encapsulation
_WORKERS = 2
_GROUPS = 16


@dataclass(frozen=True)
class CaptureInfo:
    """What capinfos says of a file: how many packets it has, whether it ends inside a packet."""

    file: Path
    packets: int
    cut: bool


def version() -> str:
    """``"4.0"``: major and minor version of the installed tshark."""
    told = subprocess.run(["tshark", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+\.\d+)\.\d+", told)
    assert found, told
    return found[1]


def capture_infos(files: Sequence[Path]) -> list[CaptureInfo]:
    """One for each file that is a capture for capinfos."""
    done = subprocess.run(["capinfos", "-T", "-r", "-M", "-c", *files], capture_output=True, text=True, check=False)
    cut = set(re.findall(r'An error occurred after reading \d+ packets from "(.*)"', done.stderr))
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return [CaptureInfo(Path(name), int(packets), name in cut) for name, packets in rows]


def read_fields(
    infos: Sequence[CaptureInfo], names: Sequence[str], config: Path
) -> Iterator[tuple[CaptureInfo, list[str]]]:
    """The fields of every packet, as tshark prints them: tab between fields, comma between the values of one.

    Args:
        infos: The captures.
        names: tshark's names of the fields.
        config: An empty folder, in place of the user's preferences.

    Yields:
        Each capture and a line for each of its packets.
    """
    groups = [[info] for info in infos if info.cut]
    whole = [info for info in infos if not info.cut]
    groups += [whole[number::_GROUPS] for number in range(_GROUPS)]
    with ThreadPoolExecutor(_WORKERS) as pool:
        for group, lines in zip(groups, pool.map(lambda one: _tshark(one, names, config), groups), strict=True):
            assert len(lines) == sum(info.packets for info in group), "tshark and capinfos count differently"
            begin = 0
            for info in group:
                yield info, lines[begin : begin + info.packets]
                begin += info.packets


def _tshark(group: Sequence[CaptureInfo], names: Sequence[str], config: Path) -> list[str]:
    """Lines of all packets of a group; a capture that is cut must be alone, for mergecap refuses it."""
    command = ["tshark", "-n", "-Y", _IS_PACKET, "-T", "fields", "-E", "occurrence=a", "-E", "separator=/t"]
    command += [word for preference in _PREFERENCES for word in ("-o", preference)]
    command += [word for name in names for word in ("-e", name)]
    where = os.environ | {"WIRESHARK_CONFIG_DIR": str(config)}
    if len(group) == 1:
        done = subprocess.run([*command, "-r", group[0].file], env=where, capture_output=True, text=True, check=False)
        assert done.returncode == (2 if group[0].cut else 0), done.stderr
        return done.stdout.splitlines()
    chain = ["mergecap", "-a", "-I", "none", "-F", "pcapng", "-w", "-", *(info.file for info in group)]
    with subprocess.Popen(chain, stdout=subprocess.PIPE) as merged:
        done = subprocess.run(
            [*command, "-r", "-"], stdin=merged.stdout, env=where, capture_output=True, text=True, check=False
        )
    assert (merged.returncode, done.returncode) == (0, 0), done.stderr
    return done.stdout.splitlines()
