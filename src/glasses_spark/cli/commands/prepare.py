"""Command `prepare`."""

from __future__ import annotations

from argparse import Namespace

from glasses_spark.cli.options import Commands, add_command
from glasses_spark.cli.session import command_session, load_config, make_progress
from glasses_spark.errors import ConfigError


def add_parser(commands: Commands) -> None:
    """Add the command with its options."""
    command = add_command(
        commands,
        "prepare",
        "decode the labelled images that the pixel store does not have yet",
        [
            "--config configs/demo.toml",
            "--set data.images=DIR --set data.labels=FILE --set store.dir=PIXELS",
        ],
    )
    command.set_defaults(run=run)


def run(arguments: Namespace) -> None:
    """Bring the pixel store up to date."""
    config = load_config(arguments)
    if not config.store.dir:
        raise ConfigError("store.dir: expected a folder for the pixel store, got an empty text")
    with command_session(config, arguments, meanwhile=_import_preprocessing) as spark:
        from glasses_spark.pipeline.pipeline import GlassesPipeline

        done = GlassesPipeline(config, progress=make_progress()).prepare(spark)
        bad = done.data["quarantined"]
        print(
            f"{config.store.dir}: {done.data['used'] + bad} images, {done.decoded} decoded now, "
            f"{done.reused} before" + (f"; {bad} cannot be decoded" if bad else "")
        )


def _import_preprocessing() -> None:
    import glasses_spark.pipeline.pipeline  # noqa: F401
