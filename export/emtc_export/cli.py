"""``emtc-export``: make a bundle from a trained model, look into one, verify one."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from emtc_agent.detector import load_bundle
from emtc_agent.errors import OneLineErrors
from emtc_contract.bundle import Manifest, encode_manifest
from emtc_contract.errors import RuntimeMissingError
from emtc_contract.topics import build as build_topic
from emtc_contract.updates import MAX_CHUNK_BYTES, MIN_CHUNK_BYTES

_CONVERTER = "pip install torch==2.13.0, then 'emtc-guard[export-tflite]'"
_TABLE_WIDTH = 110
_BUNDLE = click.argument("bundle_file", type=click.Path(dir_okay=False, path_type=Path), metavar="BUNDLE")


@click.group(cls=OneLineErrors)
def main() -> None:
    """Turn a trained model into a bundle for the agent, and prove that it kept its verdicts."""


@main.command()
@click.argument("model_file", type=click.Path(dir_okay=False, path_type=Path), metavar="MODEL")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="my.bundle")
@click.option("--name", help="Name of the model. Default: schema and preset.")
@click.option("--version", type=click.IntRange(min=1), default=1, show_default=True, help="Its version.")
@click.option(
    "--tflite/--no-tflite", default=None, help="Make TFLite files too. Default: if their converter is there."
)
def build(model_file: Path, output: Path, name: str | None, version: int, tflite: bool | None) -> None:
    """Export MODEL (from emtc-trainer fit) to a bundle; nothing is written unless every gate holds.

    The date in the bundle is that of SOURCE_DATE_EPOCH if set, for reproducible builds.
    """
    from emtc_export import tflite_model
    from emtc_export.build import Label  # torch loads only where it is needed
    from emtc_export.build import build as build_bundle
    from emtc_trainer.saved import load_model

    if not tflite_model.installed() and tflite is not False:
        if tflite:
            raise RuntimeMissingError(f"no TFLite converter: {_CONVERTER}")
        _say(f"without TFLite files: {_CONVERTER}")
        tflite = False
    model = load_model(model_file)
    label = Label(name or f"{model.schema.name}-{model.preset}", version, _today())
    _show(build_bundle(model, output, label, _say, tflite=tflite is not False), output)


@main.command()
@_BUNDLE
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def show(bundle_file: Path, as_json: bool) -> None:
    """Say what BUNDLE holds."""
    bundle = load_bundle(bundle_file)
    if as_json:
        click.echo(encode_manifest(bundle.manifest))
    else:
        _show(bundle.manifest, bundle_file)


@main.command()
@_BUNDLE
@click.option(
    "--data",
    "data_files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also judge by these labelled feature files or recordings, scores and incidents, against fp32; repeat.",
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PUB",
    help="Also require a signature by this public key; repeat for several.",
)
def verify(bundle_file: Path, data_files: tuple[Path, ...], keys: tuple[Path, ...]) -> None:
    """Measure every model of BUNDLE in every runtime installed here; exit 0 if an agent may trust it.

    Checks digests, schema and form, then holds each model against the scores of the trained network that the
    bundle carries, on benign, attack and impossible rows.
    """
    from emtc_export import gates, verifying

    bundle = load_bundle(bundle_file, keys)
    tables = {"on the rows it carries": gates.of_bundle(bundle, verifying.stored_rows(bundle, bundle_file))}
    if data_files:
        scores = gates.of_bundle(bundle, verifying.labelled_rows(bundle, data_files))
        tables["on the data given"] = scores + verifying.same_incidents(bundle, data_files)
    console = Console()
    console.width = max(console.width, _TABLE_WIDTH)  # a log file takes lines of any length
    for where, measured in tables.items():
        console.print(verifying.table(measured, f"{bundle_file.name} {where}"))
    gates.require([gate for measured in tables.values() for gate in measured])


@main.command()
@click.argument("stem", type=click.Path(dir_okay=False, path_type=Path), metavar="NAME")
@click.option("--no-password", is_flag=True, help="Do not encrypt the secret key.")
@click.option("--password", envvar="EMTC_KEY_PASSWORD", help="Encrypts it. Default: asks.", show_envvar=True)
def keygen(stem: Path, no_password: bool, password: str | None) -> None:
    """Make a key pair in minisign's format: NAME.pub for gateways, NAME.key to keep.

    Agents that are given NAME.pub take bundles signed with NAME.key only.
    """
    from emtc_export import signing

    if password is None and not no_password:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    public, secret = signing.generate(stem, "" if no_password else password or "")
    click.echo(f"{public}: give it to gateways\n{secret}: keep it where bundles are made")


@main.command()
@_BUNDLE
@click.option("--key", "secret", type=click.Path(dir_okay=False, path_type=Path), required=True, help="NAME.key")
@click.option("--password", envvar="EMTC_KEY_PASSWORD", help="Of the key. Default: asks if needed.", show_envvar=True)
def sign(bundle_file: Path, secret: Path, password: str | None) -> None:
    """Sign BUNDLE: writes BUNDLE.minisig, which has to travel with it."""
    from emtc_export import signing

    if password is None and signing.is_encrypted(secret):
        password = click.prompt("Password", hide_input=True)
    click.echo(f"{signing.sign(bundle_file, secret, password or '')}: signed")


@main.command()
@_BUNDLE
@click.option("--key", "secret", type=click.Path(dir_okay=False, path_type=Path), required=True, help="NAME.key")
@click.option("--password", envvar="EMTC_KEY_PASSWORD", help="Of the key. Default: asks if needed.", show_envvar=True)
@click.option("--url", help="Where gateways can get BUNDLE: https://... Default: from the broker, in chunks.")
@click.option(
    "--chunk-bytes",
    type=click.IntRange(MIN_CHUNK_BYTES, MAX_CHUNK_BYTES),
    metavar="N",
    help="Size of the chunks. Default: 65536.",
)
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="A folder.")
@click.option("--to", metavar="CLIENT/GATEWAY", help="Also print how to publish it to this gateway.")
def announce(
    bundle_file: Path,
    secret: Path,
    password: str | None,
    url: str | None,
    chunk_bytes: int | None,
    output: Path,
    to: str | None,
) -> None:
    """Announce BUNDLE to gateways that trust the key: writes announcement.json, and the chunks if there is no --url.

    Publish everything retained: announcement.json at emtc/v1/CLIENT/GATEWAY/model, each chunk at .../chunk/ITS-NAME.
    """
    from emtc_export import announcing, signing

    if url is not None and chunk_bytes is not None:
        raise click.UsageError("either --url or --chunk-bytes")
    client, _, gateway = (to or "").partition("/")
    if to is not None:
        build_topic(client, gateway, "model")
    if password is None and signing.is_encrypted(secret):
        password = click.prompt("Password", hide_input=True, err=True)
    files = announcing.announce(bundle_file, secret, password or "", output, url=url, chunk_bytes=chunk_bytes)
    for line in announcing.commands(files, client, gateway) if to is not None else map(str, files):
        click.echo(line)


def _show(manifest: Manifest, path: Path) -> None:
    click.echo(f"{path}: {manifest.name} version {manifest.version}, made {manifest.created}")
    click.echo(f"schema {manifest.schema_name} {manifest.schema_digest}")
    for artifact in manifest.artifacts:
        click.echo(
            f"{artifact.file}: {artifact.runtime} {artifact.precision}, {artifact.size_bytes} bytes, "
            f"threshold {artifact.threshold:.4f}, sha256 {artifact.sha256[:12]}"
        )
    for file in manifest.provenance.files:
        click.echo(f"{file.role}: {file.name}, {file.rows} rows")


def _say(line: str) -> None:
    click.echo(line, err=True)


def _today() -> str:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch and epoch.isdigit() else datetime.now(UTC)
    return moment.date().isoformat()
