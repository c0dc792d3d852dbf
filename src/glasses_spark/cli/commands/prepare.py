"""The command ``glasses-spark prepare``."""

from __future__ import annotations

from argparse import Namespace

from glasses_spark.cli.configuration import load_config
from glasses_spark.cli.options import Commands, add_command
from glasses_spark.cli.output import make_progress
from glasses_spark.cli.session import command_session, import_preprocessing
from glasses_spark.cli.streams import print_summary
from glasses_spark.errors import ConfigError


def add_parser(commands: Commands) -> None:
    """Add the command and its options."""
    command = add_command(
        commands,
        "prepare",
        "decode the labelled images that are not in the pixel store yet",
        [
            "--config configs/demo.toml",
            "--set data.images=DIR --set data.labels=FILE --set store.dir=PIXELS",
        ],
    )
    command.set_defaults(run=run)


def run(arguments: Namespace) -> None:
    """Update the pixel store."""
    config = load_config(arguments)
    if not config.store.dir:
        raise ConfigError("store.dir: expected a folder for the pixel store, got an empty string")
    with command_session(config, arguments, imports=import_preprocessing) as spark:
        from glasses_spark.pipeline.pipeline import GlassesPipeline

        prepared = GlassesPipeline(config, progress=make_progress()).prepare(spark)
        quarantined = prepared.data["quarantined"]
        print_summary(
            f"{config.store.dir}: {prepared.data['used'] + quarantined} images, "
            f"{prepared.decoded} decoded now, {prepared.reused} before"
            + (f"; {quarantined} in quarantine" if quarantined else "")
        )
