"""The command ``glasses-spark train``."""

from __future__ import annotations

from argparse import Namespace

from glasses_spark.cli.configuration import load_config
from glasses_spark.cli.options import Commands, add_command, add_no_store
from glasses_spark.cli.output import make_progress
from glasses_spark.cli.session import command_session, import_training
from glasses_spark.cli.streams import print_summary
from glasses_spark.runs.new_folder import check_target
from glasses_spark.runtime.location import local_folder


def add_parser(commands: Commands) -> None:
    """Add the command and its options."""
    command = add_command(
        commands,
        "train",
        "train a model on labelled images, and write the results to run.dir",
        [
            "--config configs/demo.toml",
            "--config configs/demo.toml --set data.limit=200 --set training.epochs=2",
            "--set data.images=DIR --set data.labels=FILE --set run.dir=OUT",
            "--config configs/demo.toml --resume",
        ],
    )
    command.add_argument(
        "--plots",
        action="store_true",
        help="also write the plots of the report as PNG and SVG files to plots/ in run.dir",
    )
    command.add_argument(
        "--resume",
        action="store_true",
        help="go on with an interrupted training from its last checkpoint in run.dir; same as "
        "run.resume=true",
    )
    add_no_store(command)
    command.set_defaults(run=run)


def run(arguments: Namespace) -> None:
    """Train a model, evaluate it and write the run folder."""
    config = load_config(arguments)
    folder = local_folder(config.run.dir)
    if folder is not None:
        check_target(folder)  # before Spark is started
    if config.tracking.mlflow:
        from glasses_spark.runs.tracking.mlflow_run import require_mlflow

        require_mlflow()
    with command_session(config, arguments, imports=import_training, keep_classes=True) as spark:
        from glasses_spark.pipeline.pipeline import GlassesPipeline

        result = GlassesPipeline(config, progress=make_progress()).run(spark)
        print_summary(f"\n{result}")
