"""MODEL_CARD.md: what a model is, what it was made from, what was measured, what it cannot do."""

from __future__ import annotations

from collections.abc import Sequence

from emtc_contract.bundle import Manifest
from emtc_contract.schema import FeatureSchema
from emtc_export.gates import Gate


def model_card(
    manifest: Manifest, schema: FeatureSchema, preset: str, quantile: float, measured: Sequence[Gate]
) -> str:
    """The card as Markdown."""
    artifacts = "\n".join(
        f"| {one.file} | {one.runtime} | {one.precision} | {one.size_bytes} | {one.threshold:.6g} |"
        for one in manifest.artifacts
    )
    gates = "\n".join(
        f"| {gate.file} | {gate.runtime} | {gate.name} | {gate.value:.2g} | {gate.limit:g} |" for gate in measured
    )
    files = "\n".join(
        f"| {file.role} | {file.name} | {file.rows} | `{file.sha256[:12]}` |" for file in manifest.provenance.files
    )
    metrics = "\n".join(f"| {name} | {value:g} |" for name, value in sorted(manifest.metrics.items()))
    versions = ", ".join(f"{name} {version}" for name, version in sorted(manifest.provenance.versions.items()))
    return f"""# {manifest.name} version {manifest.version}

A convolutional autoencoder (preset `{preset}`) over {len(schema.features)} features of schema `{schema.name}`
version {schema.version} (`{schema.digest}`), trained on benign traffic only. One score per window: how badly the
window is rebuilt, in multiples of what is usual, averaged over features.

Made {manifest.created} with seed {manifest.provenance.seed}; {versions}.

## What it is for
Noticing that a device behind a gateway behaves unlike the devices it was trained on. It says *unusual*, not
*malicious*; the family in an alert is a guess from the features that carry the error.

## Files
| file | form | precision | bytes | threshold |
|---|---|---|---|---|
{artifacts}

A threshold is the {quantile:.1%} quantile of benign calibration rows, derived on that file.

## Data
| role | file | rows | sha256 |
|---|---|---|---|
{files}

## Measured at export
On calibration rows, attacks made of them by shifting, swapping and raising features, and rows that no extractor
gives; against the trained network. They are in `check.npz`: `emtc-export verify` measures again, anywhere.

| file | runtime | what | figure | allowed |
|---|---|---|---|---|
{gates}

| training | |
|---|---|
{metrics}

Detection figures are not in this card: they belong to the data they were measured on. `emtc-trainer evaluate`
makes them, and refuses files that the model was fitted on.

## Limits
Trained on the traffic above and nothing else. Devices of other kinds, other networks and other hours may be
unusual to it without being under attack: train on your own benign traffic before you act on alerts.
"""
