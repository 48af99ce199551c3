"""Settings as text: the sample file, the settings in effect, the JSON Schema."""

from __future__ import annotations

from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from emtc_agent.settings.model import VERSION, Section, Settings

_WIDTH = 100


def sample() -> str:
    """A commented file with every setting at its default; uncommenting a line changes nothing."""
    parts = [
        "# Settings of emtc-agent, all at their defaults. `emtc-agent config check FILE` checks a file.",
        "# Relative paths are looked up in the credentials folder that systemd hands over, else beside this file.",
        f"version = {VERSION}",
    ]
    for name, section in _sections(Settings()):
        parts += ["", f"# {(section.__doc__ or '').splitlines()[0]}", f"[{name}]"]
        parts += [line for field in msgspec.structs.fields(section) for line in _sample_lines(section, field)]
    return "\n".join(parts) + "\n"


def show(settings: Settings) -> str:
    """The settings in effect, as a file that gives the same settings."""
    parts = [f"version = {settings.version}"]
    for name, section in _sections(settings):
        values = [(key, getattr(section, key)) for key in section.__struct_fields__]
        parts += ["", f"[{name}]"]
        parts += [f"{key} = {_toml(value)}" if value is not None else f"# {key}: not set" for key, value in values]
    return "\n".join(parts) + "\n"


def json_schema() -> bytes:
    """JSON Schema (2020-12) of the file."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Settings)}
    return msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"


def describe(section: type[Section], key: str) -> str:
    """What a setting means."""
    hint = get_type_hints(section, include_extras=True)[key]
    notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return " ".join(note.description for note in notes if isinstance(note, msgspec.Meta) and note.description)


def _sections(settings: Settings) -> list[tuple[str, Section]]:
    values = ((name, getattr(settings, name)) for name in settings.__struct_fields__)
    return [(name, value) for name, value in values if isinstance(value, Section)]


def _sample_lines(section: Section, field: msgspec.structs.FieldInfo) -> list[str]:
    about = describe(type(section), field.name)
    value = getattr(section, field.name)
    line = f"#{field.name} =" if value is None else f"#{field.name} = {_toml(value)}"
    return [f"{line}  # {about}"] if len(line) + len(about) < _WIDTH else [f"# {about}", line]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")  # else JSON's strings are TOML's
    return "[" + ", ".join(_toml(one) for one in value) + "]"
