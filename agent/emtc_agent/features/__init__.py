"""Feature extraction: one extractor per family of schemas, chosen by the schema's name."""

from __future__ import annotations

from emtc_agent.features.capture_extractor import CaptureConfig, CaptureExtractor
from emtc_agent.features.ciciot39 import Formulas39
from emtc_agent.features.ciciot46 import Formulas46
from emtc_agent.features.edge_extractor import EdgeConfig, EdgeExtractor
from emtc_agent.windows.windows import Extractor
from emtc_contract.ciciot2023 import CICIOT2023_39, CICIOT2023_46
from emtc_contract.schema import FeatureSchema

__all__ = ["CaptureConfig", "CaptureExtractor", "EdgeConfig", "EdgeExtractor", "open_extractor"]


def open_extractor(
    schema: FeatureSchema, edge: EdgeConfig | None = None, capture: CaptureConfig | None = None
) -> Extractor:
    """The extractor of a schema.

    Args:
        schema: One of ``emtc_contract.schemas.SCHEMAS``, possibly with another window size.
        edge: Settings for ``edge-v1``.
        capture: Settings for the CICIoT2023 schemas.
    """
    capture = capture or CaptureConfig()
    if schema.name == CICIOT2023_39.name:
        return CaptureExtractor(schema, Formulas39(), capture)
    if schema.name == CICIOT2023_46.name:
        return CaptureExtractor(schema, Formulas46(capture.max_flows, capture.hash_key), capture)
    return EdgeExtractor(edge)
