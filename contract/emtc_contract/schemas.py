"""All feature schemas by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from emtc_contract.ciciot2023 import CICIOT2023_39, CICIOT2023_46
from emtc_contract.edge_v1 import EDGE_V1
from emtc_contract.errors import SchemaError
from emtc_contract.schema import FeatureSchema

SCHEMAS: Mapping[str, FeatureSchema] = MappingProxyType(
    {schema.name: schema for schema in (EDGE_V1, CICIOT2023_39, CICIOT2023_46)}
)


def get_schema(name: str) -> FeatureSchema:
    """The schema of a name; raises SchemaError that lists the known ones."""
    try:
        return SCHEMAS[name]
    except KeyError:
        raise SchemaError(f"no feature schema {name!r}; known are {', '.join(SCHEMAS)}") from None


def resized(schema: FeatureSchema, packets: int) -> FeatureSchema:
    """The same features over windows of another number of packets: a schema with another digest.

    Raises:
        SchemaError: The schema's window is fixed.
    """
    if schema.window.scope == "endpoint":
        raise SchemaError(f"schema {schema.name} has a fixed window of {schema.window.packets} packets")
    return msgspec.structs.replace(schema, window=msgspec.structs.replace(schema.window, packets=packets))
