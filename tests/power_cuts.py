"""Power cuts: file operations stop at a chosen one, and what was not made durable may be lost."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

_WRITABLE = os.O_WRONLY | os.O_RDWR


class PowerCut(BaseException):
    """Not an OSError and not an Exception: nobody handles it."""


class Disk:
    """Counts operations that change files, and cuts the power before one of them.

    What no fsync made durable by then may be gone: contents are torn in the middle, renames and removals undone, all
    of them or all but the last, which overtook the others. Or everything arrived although nobody waited for it.
    """

    LOSSES = ("nothing", "all", "all but the last")

    def __init__(self, cut_at: int | None = None, loss: str = "nothing") -> None:
        self.operations = 0
        self._cut_at, self._loss = cut_at, loss
        self._paths: dict[int, Path] = {}
        self._dirty: set[Path] = set()
        self._undo: list[tuple[Path, bytes | None, Path | None]] = []
        self._real = {name: getattr(os, name) for name in ("open", "write", "pwrite", "fsync", "replace", "unlink")}

    def __enter__(self) -> Disk:
        self._patches = [mock.patch.object(os, name, getattr(self, f"_{name}")) for name in self._real]
        for patch in self._patches:
            patch.start()
        return self

    def __exit__(self, kind, error, trace) -> None:
        for patch in self._patches:
            patch.stop()
        if kind is PowerCut and self._loss != "nothing":
            self._lose(self._undo if self._loss == "all" else self._undo[:-1])

    def _step(self) -> None:
        if self.operations == self._cut_at:
            raise PowerCut
        self.operations += 1

    def _open(self, path, flags, mode=0o777, **others):
        if flags & os.O_CREAT:
            self._step()
            if flags & os.O_TRUNC:
                self._dirty.add(Path(path))
        file = self._real["open"](path, flags, mode, **others)
        self._paths[file] = Path(path)
        return file

    def _write(self, file, content):
        self._step()
        self._dirty.add(self._paths[file])
        return self._real["write"](file, content)

    def _pwrite(self, file, content, offset):
        self._step()
        self._dirty.add(self._paths[file])
        return self._real["pwrite"](file, content, offset)

    def _fsync(self, file):
        self._step()
        path = self._paths[file]
        self._dirty.discard(path)
        self._undo = [one for one in self._undo if one[0].parent != path]
        return self._real["fsync"](file)

    def _replace(self, source, target):
        self._step()
        source, target = Path(source), Path(target)
        self._undo.append((target, target.read_bytes() if target.exists() else None, source))
        self._real["replace"](source, target)
        if source in self._dirty:
            self._dirty.remove(source)
            self._dirty.add(target)

    def _unlink(self, path, **others):
        path = Path(path)
        if path.exists():
            self._step()
            self._undo.append((path, path.read_bytes(), None))
        return self._real["unlink"](path, **others)

    def _lose(self, undo) -> None:
        for path in self._dirty:
            if path.exists():
                os.truncate(path, path.stat().st_size // 2)
        for path, before, source in reversed(undo):
            if source is not None:
                path.replace(source)
            if before is not None:
                path.write_bytes(before)


def every_cut(scenario, reopened) -> int:
    """Runs a scenario with the power cut before each of its operations; ``reopened`` looks at what is there then.

    Both take the number of the run, for a folder of their own. Returns how many cuts there were.
    """
    run = cuts = 0
    for loss in Disk.LOSSES:
        at, done = 0, False
        while not done:
            try:
                with Disk(at, loss):
                    scenario(run)
                done = True
            except PowerCut:
                reopened(run)
                at, cuts = at + 1, cuts + 1
            run += 1
    return cuts
