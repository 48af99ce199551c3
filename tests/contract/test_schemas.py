"""Feature schemas: a digest stands for the meaning of a row."""

import msgspec
import pytest

from emtc_contract.errors import SchemaError
from emtc_contract.schemas import SCHEMAS, get_schema, resized


@pytest.mark.parametrize("name", SCHEMAS)
def test_columns_are_named_once_and_described(name):
    schema = get_schema(name)
    assert len(set(schema.columns)) == len(schema.columns)
    assert all(feature.title and feature.meaning and feature.unit for feature in schema.features)


def test_the_digest_changes_with_meaning_and_not_with_wording():
    schema = get_schema("edge-v1")
    first, *rest = schema.features
    reworded = msgspec.structs.replace(schema, features=(msgspec.structs.replace(first, title="x"), *rest))
    swapped = msgspec.structs.replace(schema, features=(rest[0], first, *rest[1:]))
    assert reworded.digest == schema.digest
    assert swapped.digest != schema.digest
    assert msgspec.structs.replace(schema, version=2).digest != schema.digest


def test_a_mismatch_names_both_sides():
    schema = get_schema("edge-v1")
    schema.require_same(schema.name, schema.digest, "x")
    with pytest.raises(SchemaError, match=r"rows\.csv.*other-v9.*expected edge-v1"):
        schema.require_same("other-v9", schema.digest, "rows.csv")


def test_unknown_schemas_and_columns_are_named():
    with pytest.raises(SchemaError, match=r"edge-v9.*edge-v1"):
        get_schema("edge-v9")
    with pytest.raises(SchemaError, match="colour"):
        get_schema("edge-v1").index("colour")


def test_only_windows_of_packets_can_be_resized():
    with pytest.raises(SchemaError):
        resized(get_schema("edge-v1"), 20)
