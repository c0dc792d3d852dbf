"""Command `fetch`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from glasses_spark.cli.options import Commands, add_command
from glasses_spark.cli.session import load_config, local_location, make_progress
from glasses_spark.errors import ConfigError


def add_parser(commands: Commands) -> None:
    """Add the command with its options."""
    command = add_command(
        commands,
        "fetch",
        "download a data set of Kaggle's (data.dataset) and its labels (data.labels_url)",
        [
            "--config configs/kaggle.toml",
            "--config configs/kaggle.toml --keep-zip",
            "--config configs/kaggle.toml --set data.images=/big/faces",
        ],
    )
    command.add_argument(
        "--keep-zip",
        action="store_true",
        help="keep the downloaded zip file beside the images' folder (default: remove it)",
    )
    command.set_defaults(run=run)


def run(arguments: Namespace) -> None:
    """Download the images and the labels that the configuration names."""
    data = load_config(arguments).data
    if not data.dataset and not data.labels_url:
        raise ConfigError(
            "nothing to fetch: expected data.dataset or data.labels_url, got neither; "
            "configs/kaggle.toml has both"
        )
    where = "files are fetched to this machine only"
    folder = Path(local_location(data.images, "data.images", where, "--set data.images=FOLDER"))
    folder = folder.expanduser()
    labels = Path(local_location(data.labels, "data.labels", where, "--set data.labels=FILE"))
    labels = labels.expanduser()
    # Imported late: they bring pyspark and requests.
    from glasses_spark.datasets.kaggle.fetch import fetch_dataset, fetch_labels

    if data.labels_url:
        fresh = fetch_labels(
            data.labels_url, labels, sha256=data.labels_sha256, counter=make_progress().counter
        )
        print(f"{labels}: {'fetched now' if fresh else 'there already'}")
    if data.dataset:
        archive = folder.absolute().with_name(f"{data.dataset.split('/')[1]}.zip")
        fetched = fetch_dataset(
            data.dataset,
            folder,
            archive=archive,
            keep=archive if arguments.keep_zip else None,
            counter=make_progress().counter,
        )
        news = f"{fetched.fresh:,} fetched now" if fetched.fresh else "all there already"
        print(f"{folder}: {fetched.files:,} files, {fetched.size / 1e9:.2f} GB; {news}")
