"""The gate that counts in the end: the same incidents from every model in every runtime."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from emtc_agent.detector import Bundle, Runtime, Scorer, open_runtime
from emtc_agent.features import EdgeConfig, open_extractor
from emtc_agent.incidents import IncidentTracker
from emtc_agent.pipeline import Pipeline
from emtc_agent.sources import CaptureSet
from emtc_contract.messages import Alert, Model
from emtc_export.gates import Gate, runtimes_of

_HASH_KEY = 7  # what spills from full tables depends on the key: only the models shall differ
Told = Counter[tuple[str, str, str]]


def measure(bundle: Bundle, captures: Sequence[Path]) -> list[Gate]:
    """How many alerts each model in each runtime tells otherwise than the fp32 model, over all captures."""
    expected = _told(bundle, open_runtime(bundle, precision="fp32"), captures)
    return [_compared(runtime, expected, _told(bundle, runtime, captures)) for runtime in runtimes_of(bundle)]


def _compared(runtime: Runtime, expected: Told, got: Told) -> Gate:
    differ = ((expected - got) + (got - expected)).total()
    name = f"alerts that differ, of {expected.total()}"
    return Gate(runtime.artifact.file, runtime.name, name, float(differ), 0, differ == 0)


def _told(bundle: Bundle, runtime: Runtime, captures: Sequence[Path]) -> Told:
    """Endpoint and state of each alert, and the family the incident ends with.

    Repetitions of an open incident depend on single scores, as does its first guess at a family: the same evidence
    may suffice a window earlier.
    """
    model = Model(name=bundle.name, version=bundle.manifest.version, sha8="", runtime=runtime.name)
    tracker = IncidentTracker(bundle, model, runtime.artifact.threshold, boot="check")
    pipeline = Pipeline(
        partial(open_extractor, bundle.schema, EdgeConfig(hash_key=_HASH_KEY)), Scorer(runtime), tracker
    )
    alerts = _alerts(pipeline, captures)
    return Counter(
        (one.endpoint.id, one.state, one.family.name if one.state == "end" else "")
        for one in alerts
        if one.state != "update"
    )


def _alerts(pipeline: Pipeline, captures: Sequence[Path]) -> Iterator[Alert]:
    with CaptureSet([str(path) for path in captures], one_by_one=True) as source:
        for stream in source.streams():
            for batch in stream:
                yield from pipeline.push(batch)
            yield from pipeline.finish()
