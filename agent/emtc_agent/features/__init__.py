"""Feature extraction: one extractor per family of schemas, chosen by the schema's name."""

from __future__ import annotations

from emtc_agent.features.edge_extractor import EdgeConfig, EdgeExtractor
from emtc_agent.windows.windows import Extractor
from emtc_contract.schema import FeatureSchema

__all__ = ["EdgeConfig", "EdgeExtractor", "open_extractor"]


def open_extractor(schema: FeatureSchema, edge: EdgeConfig | None = None) -> Extractor:
    """The extractor of a schema.

    Args:
        schema: One of ``emtc_contract.schemas.SCHEMAS``, possibly with another window size.
        edge: Settings of the ``edge-v1`` extractor.
    """
    return EdgeExtractor(edge)
