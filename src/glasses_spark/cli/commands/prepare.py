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
    command.add_argument(
        "--verify",
        action="store_true",
        help="first read all stored rows, and decode the images of damaged files again",
    )
    command.add_argument(
        "--vacuum",
        action="store_true",
        help="also remove what no run uses: replaced and incomplete parts",
    )
    command.set_defaults(run=run)


def run(arguments: Namespace) -> None:
    """Update the pixel store."""
    config = load_config(arguments)
    if not config.store.dir:
        raise ConfigError("store.dir: expected a folder for the pixel store, got an empty string")
    with command_session(config, arguments, imports=import_preprocessing) as spark:
        from glasses_spark.pipeline.pipeline import GlassesPipeline

        pipeline = GlassesPipeline(config, progress=make_progress())
        prepared = pipeline.prepare(spark, verify=arguments.verify, vacuum=arguments.vacuum)
        quarantined = prepared.data["quarantined"]
        reasons = ", ".join(f"{count} {code}" for code, count in prepared.quarantine.items())
        print_summary(
            f"{config.store.dir}: {prepared.data['used'] + quarantined} images, "
            f"{prepared.decoded} decoded now, {prepared.reused} before"
            + (f"; {quarantined} in quarantine ({reasons})" if quarantined else "")
        )
        for file in prepared.damaged:
            print_summary(f"{file}: was damaged, decoded again")
        if arguments.verify and not prepared.damaged:
            print_summary(f"{config.store.dir}: no damage found")
        if arguments.vacuum:
            print_summary(f"{config.store.dir}: {prepared.removed} unused parts removed")
