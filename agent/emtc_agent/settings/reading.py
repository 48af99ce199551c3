"""Reading ``gateway.toml``: strict, and every error says the line and what to write instead."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from emtc_agent.settings.checks import first_conflict
from emtc_agent.settings.migrations import migrate
from emtc_agent.settings.model import Section, Settings
from emtc_contract.errors import InputError

MAX_BYTES = 256 * 1024
_HEADER = re.compile(r"\s*\[\s*([\w-]+)\s*\]")
_KEY = re.compile(r"\s*([\w-]+)\s*=")
_PLACE = re.compile(r"\$\.([\w-]+)(?:\.([\w-]+))?")
_AT = re.compile(r" - at `(\$[^`]*)`")


def load_settings(path: Path) -> Settings:
    """Read and check a settings file; raises InputError with file and line."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    if len(raw) > MAX_BYTES:
        raise InputError(f"{path}: larger than {MAX_BYTES} bytes")
    try:
        return parse_settings(raw.decode(), str(path))
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(f"{path}:{line}: not UTF-8") from None


def parse_settings(text: str, where: str) -> Settings:
    """Check the text of a settings file; ``where`` names it in errors."""
    try:
        raw = migrate(tomllib.loads(text))
        _refuse_unknown(raw)
        settings = msgspec.convert(raw, Settings)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where}: not TOML: {error}") from None
    except RecursionError:
        raise InputError(f"{where}: not TOML: nested too deeply") from None
    except _WrongKeyError as error:
        raise InputError(f"{where}{_line(text, *error.place)}: {error}") from None
    except msgspec.ValidationError as error:
        raise InputError(_explain(str(error), text, where)) from None
    conflict = first_conflict(settings)
    if conflict:
        place, what = conflict
        raise InputError(f"{where}{_line(text, *place)}: {'.'.join(place)}: {what}")
    return settings


class _WrongKeyError(Exception):
    def __init__(self, place: tuple[str, ...], what: str) -> None:
        super().__init__(what)
        self.place = place


def _refuse_unknown(raw: Mapping[str, Any]) -> None:
    for name, value in raw.items():
        section = _section(name)
        if section is None and name not in Settings.__struct_fields__:
            raise _WrongKeyError((name,), _unknown(name, Settings.__struct_fields__, ""))
        if section is None:
            continue
        if not isinstance(value, dict):
            raise _WrongKeyError((name,), f"{name} is a table: write [{name}] on a line of its own")
        for key in value:
            if key not in section.__struct_fields__:
                raise _WrongKeyError((name, key), _unknown(key, section.__struct_fields__, f" in [{name}]"))


def _section(name: str) -> type[Section] | None:
    default = {field.name: field.default for field in msgspec.structs.fields(Settings)}.get(name)
    return type(default) if isinstance(default, Section) else None


def _unknown(name: str, known: tuple[str, ...], where: str) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"unknown setting {name!r}{where}; {hint}"


def _explain(told: str, text: str, where: str) -> str:
    """A validation error of msgspec with line and setting; its words stay."""
    found = _AT.search(told)
    place = _PLACE.match(found[1]) if found else None
    if not place:
        return f"{where}: {told}"
    names = tuple(name for name in place.groups() if name)
    return f"{where}{_line(text, *names)}: {'.'.join(names)}: {_AT.sub('', told)}"


def _line(text: str, *place: str) -> str:
    """``:<line>`` of a setting, or of its table, as far as it can be found."""
    section, found = "", ""
    for number, line in enumerate(text.splitlines(), 1):
        header, key = _HEADER.match(line), _KEY.match(line)
        if header:
            section = header[1]
            if section == place[0]:
                found = f":{number}"
        elif key and (section, key[1]) == (place if len(place) == 2 else ("", place[0])):
            return f":{number}"
    return found
