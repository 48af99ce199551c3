"""Feature schemas: what a row of numbers means, and a digest that proves two parts mean the same.

A schema is one frozen object: ordered features with unit and meaning, and the definition of the window
they are computed over. Bundles, CSV and Parquet files carry ``FeatureSchema.digest``; readers refuse a
file whose digest differs from the schema they know (see ``require_same``).
"""

from __future__ import annotations

import hashlib
from functools import cached_property

import msgspec

from emtc_contract.errors import SchemaError


class Feature(msgspec.Struct, frozen=True):
    """One column.

    Attributes:
        name: Column name, as written in files.
        unit: Unit of the value, e.g. ``"B"``, ``"s"``, ``"1/s"``, ``"share"``, ``"count"``.
        title: A few words, as alerts say it.
        meaning: The definition in one sentence.
        scale: How a model should look at it: ``"log"`` for counts, sizes, times and rates that span
            decades, ``"linear"`` for shares.
    """

    name: str
    unit: str
    title: str
    meaning: str
    scale: str = "linear"


class WindowSpec(msgspec.Struct, frozen=True):
    """When a window closes.

    Attributes:
        scope: ``"endpoint"`` (one device) or ``"capture"`` (all hosts together).
        packets: The window closes at this many packets ...
        seconds: ... or this long after its first packet, whichever is first; None = packets only.
    """

    scope: str
    packets: int
    seconds: float | None = None


class FeatureSchema(msgspec.Struct, frozen=True, dict=True):
    """An ordered set of features over one window definition."""

    name: str
    version: int
    window: WindowSpec
    features: tuple[Feature, ...]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def digest(self) -> str:
        """``sha256:`` digest of name, version, window and each column's name, unit and scale, in order.

        Wording is left out, so that it can improve; a changed definition is a new version.
        """
        columns = [(feature.name, feature.unit, feature.scale) for feature in self.features]
        canonical = msgspec.json.encode((self.name, self.version, self.window, columns), order="sorted")
        return "sha256:" + hashlib.sha256(canonical).hexdigest()

    def index(self, column: str) -> int:
        """Position of a column; raises SchemaError for an unknown name."""
        try:
            return self.columns.index(column)
        except ValueError:
            raise SchemaError(f"schema {self.name} has no column {column!r}") from None

    def require_same(self, name: str, digest: str, where: str) -> None:
        """Raise SchemaError, naming both sides, unless ``name`` and ``digest`` are this schema's."""
        if (name, digest) != (self.name, self.digest):
            theirs, ours = f"{name} ({digest[:19]})", f"{self.name} ({self.digest[:19]})"
            raise SchemaError(f"{where}: feature schema is {theirs}, expected {ours}")
