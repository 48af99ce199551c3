"""``emtc-agent learn``: a site's benign captures in, a calibration of its own out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path

import click
import msgspec

from emtc_agent.assembling import assemble
from emtc_agent.commands.extract import feature_writer
from emtc_agent.commands.options import (
    BundleChoice,
    RuntimeChoice,
    allow_damaged,
    bundle_options,
    captures,
    edge_options,
    one_by_one,
    runtime_options,
)
from emtc_agent.commands.progress import reading
from emtc_agent.detector import Bundle, open_runtime
from emtc_agent.features import EdgeConfig, open_extractor
from emtc_agent.learning import Learner, LearnFiles, LearningConfig, suspects_of
from emtc_agent.learning.options import beside
from emtc_agent.learning.probe import read_probe
from emtc_agent.learning.quarantine import FAMILIES
from emtc_agent.learning.report import told
from emtc_agent.learning.sample import write_rows
from emtc_agent.packets import PacketBatch
from emtc_agent.sources import CaptureSet
from emtc_agent.windows.windows import Windows
from emtc_contract.errors import InputError

_FOREVER_S = 1e12
_PIECE = 64  # windows: a capture's batches span minutes, and an incident is to taint no more than it must


@click.command()
@captures
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="site.overlay",
)
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The device's key, made when missing. Default: device.key beside the overlay.",
)
@click.option(
    "--trusted",
    is_flag=True,
    help="You know this traffic to be benign: learn also what looks odd, except what looks like an attack.",
)
@click.option(
    "--accept",
    "accepted",
    multiple=True,
    type=click.Choice(FAMILIES),
    help="With --trusted: learn also what looks like this attack. Repeat for more.",
)
@click.option(
    "--export",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the learned windows as a feature file, rows.csv or rows.parquet.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Decides the sample.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@bundle_options
@runtime_options
@edge_options
@one_by_one
@allow_damaged
def learn(
    captures: tuple[str, ...],
    output: Path,
    key: Path | None,
    trusted: bool,
    accepted: tuple[str, ...],
    export: Path | None,
    seed: int,
    as_json: bool,
    bundle: BundleChoice,
    choice: RuntimeChoice,
    edge: EdgeConfig,
    one_by_one: bool,
    allow_damaged: bool,
) -> None:
    """Calibrate the bundle's model on the benign traffic of a site, each CAPTURE (file, folder, or - for stdin).

    The latest quarter of the windows is not learned from: it tells what changes. What is above the bundle's 99.9th
    percentile is not learned, nor are endpoints with an incident; with --trusted, only what looks like an attack is
    not. OUTPUT is written only if it helps; replay and run take it with --overlay.
    """
    if accepted and not trusted:
        raise click.UsageError("--accept goes with --trusted only.")
    made = bundle.load()
    site = _Site(made, bundle.path, choice, edge, LearnFiles(output, key or beside(output)), seed)
    site.learner.start(None, _FOREVER_S, trusted=trusted, accepted=accepted)
    with CaptureSet(captures, one_by_one=one_by_one) as source:
        for stream in reading(source):
            site.learn(stream)
        if not allow_damaged:
            source.require_whole()
    if export:
        with feature_writer(export, made.schema) as writer:
            write_rows(writer, site.learner.sampled(), made.schema, ", ".join(captures))
    report = site.learner.finish(site.now_us)
    if report is None:
        raise InputError("nothing was learned")
    click.echo(msgspec.json.encode(report).decode() if as_json else told(report))
    if not report.learned:
        raise InputError(f"{output}: not written: {report.reason}")
    if sys.stderr.isatty():
        click.echo(f"{output}: use it with --overlay", err=True)


class _Site:
    """The daemon's way from packets to the learner, without its alarms."""

    def __init__(
        self,
        bundle: Bundle,
        file: Path,
        choice: RuntimeChoice,
        edge: EdgeConfig,
        kept: LearnFiles,
        seed: int,
    ) -> None:
        self._bundle, self._edge = bundle, edge
        runtime = open_runtime(bundle, choice.name, choice.precision, choice.threads)
        pipeline, _ = assemble(bundle, runtime, edge, "learn")
        self._scorer, self._tracker = pipeline.scorer, pipeline.tracker
        config = LearningConfig(longest_step_s=_FOREVER_S)
        probe = partial(read_probe, file, runtime, len(bundle.schema.columns))
        self.learner = Learner(kept, bundle, runtime.artifact, config, seed, probe=probe)
        self.now_us = 0

    def learn(self, stream: Iterator[PacketBatch]) -> None:
        """Take in one stream to its end."""
        extractor = open_extractor(self._bundle.schema, self._edge)
        self.learner.pause()
        self.now_us = 0
        for batch in stream:
            self._judge(extractor.push(batch))
        self._judge(extractor.finish())
        self._tracker.finish()
        self._scorer.restart()

    def _judge(self, windows: Windows) -> None:
        for begin in range(0, len(windows), _PIECE):
            self._take_in(_cut(windows, slice(begin, begin + _PIECE)))

    def _take_in(self, windows: Windows) -> None:
        if not self.now_us:
            self.learner.tick(int(windows.first_us.min()))
        self.now_us = max(self.now_us, int(windows.last_us.max()))
        scored = self._scorer.score(windows)
        alerts = self._tracker.observe(windows, scored) + self._tracker.tick(self.now_us)
        self.learner.observe(windows, scored, suspects_of(windows, alerts, self._tracker.open_keys))
        self.learner.tick(self.now_us)


def _cut(windows: Windows, part: slice) -> Windows:
    return Windows(*(getattr(windows, column.name)[part] for column in fields(Windows)))
