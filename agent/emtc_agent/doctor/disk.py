"""Whether the state folder can hold what has to outlive a restart."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from emtc_agent.doctor.finding import Finding
from emtc_agent.health.process import disk_space

_LEAST_FREE_BYTES = 4 << 20  # below that nothing useful can be kept
_PROBE_BYTES = 64 << 10
_IN_MEMORY = ("tmpfs", "ramfs", "overlay")
_SQLITE_TIMEOUT_S = 3.0


def check_state_folder(folder: Path, needed_bytes: int) -> list[Finding]:
    """Whether a folder is there, writable, large enough, of the lasting kind, and good for SQLite's WAL.

    Args:
        folder: Where state is kept.
        needed_bytes: What the agent may come to keep there, including what it keeps there already.
    """
    name = "state folder"
    if not folder.is_dir():
        fix = f"Create it for the agent's user: StateDirectory= in the unit, or mkdir -p {folder}."
        return [Finding(name, "problem", f"{folder} is not a folder", fix)]
    try:
        _write_once(folder)
    except OSError as error:
        return [Finding(name, "problem", f"{folder} cannot be written: {error.strerror}", _write_fix(folder, error))]
    return [
        Finding(name, "ok", f"{folder} can be written"),
        _space(folder, needed_bytes),
        *_lasting(folder),
        _database(folder),
    ]


def check_metrics_folder(file: Path) -> list[Finding]:
    """Whether a metrics file can be written."""
    name = "metrics file"
    try:
        with tempfile.TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        fix = "Correct metrics_file in [health], or give the agent's user the folder."
        return [Finding(name, "problem", f"{file.parent} cannot be written: {error.strerror}", fix)]
    return [Finding(name, "ok", f"{file} can be written")]


def _write_once(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder, prefix=".doctor-", buffering=0) as file:
        if file.write(bytes(_PROBE_BYTES)) < _PROBE_BYTES:
            file.write(bytes(1))  # says why it was cut short
        os.fsync(file)


def _write_fix(folder: Path, error: OSError) -> str:
    fixes = {
        errno.ENOSPC: f"Free space on the file system of {folder}.",
        errno.EDQUOT: f"Free space in {folder}, or raise the quota of the agent's user.",
        errno.EROFS: f"Mount it for writing, or add ReadWritePaths={folder} to the unit.",
    }
    return fixes.get(error.errno or 0, f"Give it to the agent's user: chown -R USER {folder}.")


def _space(folder: Path, needed_bytes: int) -> Finding:
    name = "disk space"
    free_bytes = disk_space(folder).free_bytes
    more_bytes = needed_bytes - sum(_sizes(folder))
    what = f"{free_bytes / (1 << 20):,.1f} MiB free"
    if free_bytes < _LEAST_FREE_BYTES:
        return Finding(name, "problem", f"{what}: too few for anything", "Free space, or move the state folder.")
    if free_bytes < more_bytes:
        fix = "Free space, lower max_mib in [outbox], or move the state folder."
        return Finding(name, "warning", f"{what}, state may still grow by {more_bytes / (1 << 20):,.1f} MiB", fix)
    return Finding(name, "ok", what)


def _sizes(folder: Path) -> Iterator[int]:
    for one in folder.iterdir():
        try:
            yield one.stat().st_size
        except OSError:  # gone since
            continue


def _lasting(folder: Path) -> list[Finding]:
    kind = file_system(folder)
    if kind not in _IN_MEMORY:
        return []
    fix = "Put the state folder on a partition of its own that lasts."
    return [Finding("state lasts", "warning", f"{folder} is on {kind}: likely lost when the power fails", fix)]


def file_system(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The kind of file system a folder is on; empty if the kernel does not tell. See proc_pid_mountinfo(5)."""
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        mount, _, source = line.partition(" - ")
        if mount.split()[2:3] == [wanted]:
            return source.split()[0]
    return ""


def _database(folder: Path) -> Finding:
    """SQLite's write-ahead log needs shared memory, which some network file systems lack."""
    name = "state database"
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".doctor-") as inside:
            mode = _journal_mode(Path(inside) / "probe.sqlite")
    except (OSError, sqlite3.Error) as error:
        return Finding(name, "problem", f"SQLite cannot write in {folder}: {error}", "Use a local file system.")
    if mode != "wal":
        fix = "Use a local file system such as ext4 or f2fs."
        return Finding(name, "problem", f"SQLite has no write-ahead log in {folder}, only {mode}", fix)
    return Finding(name, "ok", "SQLite works with its write-ahead log")


def _journal_mode(file: Path) -> str:
    with closing(sqlite3.connect(file, timeout=_SQLITE_TIMEOUT_S)) as database:
        (mode,) = database.execute("PRAGMA journal_mode=WAL").fetchone()
        with database:
            database.execute("CREATE TABLE probe (number INTEGER)")
            database.execute("INSERT INTO probe VALUES (1)")
    return str(mode)
