"""The command ``glasses-spark cross-validate``."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from glasses_spark.cli.configuration import load_config
from glasses_spark.cli.options import Commands, add_command, add_no_store, whole_number_argument
from glasses_spark.cli.output import make_progress
from glasses_spark.cli.session import command_session, import_training
from glasses_spark.cli.streams import print_summary
from glasses_spark.config.section import declared_keys
from glasses_spark.config.training import EvaluationConfig
from glasses_spark.runs.folder import CROSS_VALIDATION, cross_validation_folder
from glasses_spark.runs.new_folder import check_target


def add_parser(commands: Commands) -> None:
    """Add the command and its options."""
    command = add_command(
        commands,
        "cross-validate",
        "train one model for each fold, evaluate every image with the model that was not trained "
        "on it, and list the labels that are most likely wrong",
        [
            "--config configs/demo.toml",
            "--config configs/demo.toml --folds 10 --out runs/ten-folds",
        ],
    )
    command.add_argument(
        "--folds",
        metavar="K",
        type=whole_number_argument(declared_keys(EvaluationConfig)["folds"].kind),
        help="number of folds, each the test set of one model (default: evaluation.folds)",
    )
    command.add_argument(
        "--out",
        metavar="FOLDER",
        help="folder for the results (default: run.dir followed by -cross-validation)",
    )
    add_no_store(command)
    command.set_defaults(run=run)


def run(arguments: Namespace) -> None:
    """Train one model for each fold, and evaluate every image with the model not trained on it."""
    if arguments.folds is not None:
        arguments.set.append(f"evaluation.folds={arguments.folds}")
    config = load_config(arguments)
    out = Path(arguments.out or cross_validation_folder(config.run.dir))
    check_target(out, results=CROSS_VALIDATION)
    with command_session(config, arguments, imports=import_training) as spark:
        from glasses_spark.pipeline.pipeline import GlassesPipeline

        result = GlassesPipeline(config, progress=make_progress()).cross_validate(spark, out)
        print_summary(f"\n{result}")
