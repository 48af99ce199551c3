"""The agent's own contenders: whole extraction per schema, and the stages on the way."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bench.child import Run, serve
from emtc_agent.columns import decode
from emtc_agent.features import open_extractor
from emtc_agent.sources import CaptureSet
from emtc_contract.schemas import SCHEMAS, get_schema


def _extract(name: str) -> Run:
    def run(path: str) -> tuple[int, int]:
        extractor = open_extractor(get_schema(name))
        rows = 0
        with CaptureSet([path]) as source:
            for stream in source.streams():
                rows += sum(len(extractor.push(batch)) for batch in stream)
        rows += len(extractor.finish())
        return extractor.stats.packets, rows

    return run


def _read() -> Run:
    def run(path: str) -> tuple[int, int]:
        with CaptureSet([path]) as source:
            packets = sum(len(batch) for stream in source.streams() for batch in stream)
        return packets, 0

    return run


def _decode() -> Run:
    def run(path: str) -> tuple[int, int]:
        packets = 0
        with CaptureSet([path]) as source:
            for stream in source.streams():
                for batch in stream:
                    decode(batch)
                    packets += len(batch)
        return packets, 0

    return run


def _replay() -> Run:
    """What ``emtc-agent replay`` does, with the shipped bundle."""
    from emtc_agent.assembling import assemble, shipped_bundle
    from emtc_agent.commands.replay import run as run_pipeline
    from emtc_agent.detector import load_bundle, open_runtime
    from emtc_agent.features import EdgeConfig

    def run(path: str) -> tuple[int, int]:
        bundle = load_bundle(shipped_bundle())
        pipeline, _ = assemble(bundle, open_runtime(bundle), EdgeConfig(), "bench")
        with CaptureSet([path]) as source:
            for _ in run_pipeline(pipeline, source.streams(), 0.0):
                pass
        return pipeline.extracted.packets, pipeline.scored

    return run


STAGES: dict[str, Callable[[], Run]] = {"read": _read, "read, decode": _decode, "replay": _replay}
CONTENDERS: dict[str, Callable[[], Run]] = {name: partial(_extract, name) for name in SCHEMAS} | STAGES

if __name__ == "__main__":
    serve(CONTENDERS)
