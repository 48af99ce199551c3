"""A bundle and what runs it, put together as a pipeline."""

from __future__ import annotations

import re
import socket
from functools import partial
from importlib.resources import files
from pathlib import Path

from emtc_agent import __version__
from emtc_agent.detector import Bundle, Runtime, Scorer
from emtc_agent.detector.calibration import Recalibration
from emtc_agent.features import EdgeConfig, open_extractor
from emtc_agent.incidents import IncidentConfig, IncidentTracker
from emtc_agent.incidents.suppression import Suppression
from emtc_agent.pipeline import Pipeline
from emtc_contract.messages import Info, Model


def assemble(
    bundle: Bundle,
    runtime: Runtime,
    edge: EdgeConfig,
    boot: str,
    incidents: IncidentConfig | None = None,
    suppression: Suppression | None = None,
    site: Recalibration | None = None,
) -> tuple[Pipeline, Info]:
    """The pipeline, and what to tell about it.

    Args:
        bundle: Schema, usual ranges.
        runtime: Runs the bundle's model.
        edge: Sizes of the extractor.
        boot: Id of this run.
        incidents: When they open and close.
        suppression: Which are not told.
        site: What was learned on site.
    """
    artifact, manifest = runtime.artifact, bundle.manifest
    scorer = Scorer(runtime, site=site)
    model = Model(name=manifest.name, version=manifest.version, sha8=artifact.sha256[:8], runtime=runtime.name)
    tracker = IncidentTracker(bundle, model, scorer.threshold, boot, incidents, suppression=suppression)
    info = Info(
        agent=__version__,
        bundle=manifest.name,
        bundle_version=manifest.version,
        bundle_sha8=artifact.sha256[:8],
        schema=manifest.schema_name,
        schema_digest=manifest.schema_digest,
        runtime=runtime.name,
        interfaces=(),
        boot=boot,
    )
    return Pipeline(partial(open_extractor, bundle.schema, edge), scorer, tracker), info


def gateway_name() -> str:
    """This host's name in the form that topics allow."""
    return re.sub("[^a-z0-9-]+", "-", socket.gethostname().lower())[:64].strip("-") or "gateway"


def shipped_bundle() -> Path:
    """The bundle that comes with the program."""
    return Path(str(files("emtc_agent").joinpath("data/default.bundle")))
