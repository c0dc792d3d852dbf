"""The command ``glasses-spark fetch``."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from glasses_spark.cli.configuration import load_config, require_local_path
from glasses_spark.cli.options import Commands, add_command
from glasses_spark.cli.output import make_progress
from glasses_spark.cli.streams import print_summary
from glasses_spark.errors import ConfigError


def add_parser(commands: Commands) -> None:
    """Add the command and its options."""
    command = add_command(
        commands,
        "fetch",
        "download a Kaggle data set (data.dataset) and its labels (data.labels_url)",
        [
            "--config configs/kaggle.toml",
            "--config configs/kaggle.toml --keep-zip",
            "--config configs/kaggle.toml --set data.images=/big/faces",
        ],
    )
    command.add_argument(
        "--keep-zip",
        action="store_true",
        help="keep the downloaded zip file beside the folder of the images (default: delete it)",
    )
    command.set_defaults(run=run)


def run(arguments: Namespace) -> None:
    """Download the images and the labels that the configuration names."""
    data = load_config(arguments).data
    if not data.dataset and not data.labels_url:
        raise ConfigError(
            "nothing to fetch: expected data.dataset or data.labels_url, got neither. "
            "configs/kaggle.toml has both"
        )
    folder = _local_path(data.images, "data.images", "--set data.images=FOLDER")
    labels = _local_path(data.labels, "data.labels", "--set data.labels=FILE")
    # Imported late: these import pyspark and requests.
    from glasses_spark.datasets.kaggle.fetch import fetch_dataset, fetch_labels

    if data.labels_url:
        fresh = fetch_labels(
            data.labels_url, labels, sha256=data.labels_sha256, counter=make_progress().counter
        )
        print_summary(f"{labels}: {'fetched now' if fresh else 'already up to date'}")
    if data.dataset:
        archive = folder.absolute().with_name(f"{data.dataset.split('/')[1]}.zip")
        fetched = fetch_dataset(
            data.dataset,
            folder,
            archive=archive,
            keep=archive if arguments.keep_zip else None,
            counter=make_progress().counter,
        )
        news = f"{fetched.written:,} fetched now" if fetched.written else "already complete"
        print_summary(f"{folder}: {fetched.files:,} files, {fetched.size / 1e9:.2f} GB; {news}")


def _local_path(location: str, key: str, option: str) -> Path:
    reason = "files are fetched to this machine only"
    return Path(require_local_path(location, key, reason=reason, option=option)).expanduser()
