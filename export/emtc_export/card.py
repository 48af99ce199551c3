"""MODEL_CARD.md: what a model is, what it was made from, what was measured, what it cannot do."""

from __future__ import annotations

from emtc_contract.bundle import Manifest
from emtc_contract.schema import FeatureSchema
from emtc_export.parity import Parity


def model_card(manifest: Manifest, schema: FeatureSchema, preset: str, quantile: float, parity: Parity) -> str:
    """The card as Markdown."""
    artifact = manifest.artifacts[0]
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

## Threshold
{artifact.threshold:.6g}, the {quantile:.1%} quantile of benign calibration rows, derived on the exported model.

## Data
| role | file | rows | sha256 |
|---|---|---|---|
{files}

## Measured at export
Exported and trained model: largest relative difference of a score {parity.score_drift:.1e}, verdicts that differ
{parity.flips} of {parity.rows} rows (hostile rows included).

| training | |
|---|---|
{metrics}

Detection figures are not in this card: they belong to the data they were measured on. `emtc-trainer evaluate`
makes them, and refuses files that the model was fitted on.

## Limits
Trained on the traffic above and nothing else. Devices of other kinds, other networks and other hours may be
unusual to it without being under attack: train on your own benign traffic before you act on alerts.
"""
