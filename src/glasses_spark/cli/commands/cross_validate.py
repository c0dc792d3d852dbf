"""Command `cross-validate`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from glasses_spark.cli.options import Commands, add_command, add_no_store, whole_number
from glasses_spark.cli.session import command_session, import_training, load_config, make_progress
from glasses_spark.runs import folder as run_folder


def add_parser(commands: Commands) -> None:
    """Add the command with its options."""
    command = add_command(
        commands,
        "cross-validate",
        "fit once for each fold on all others, judge every image by a model that has not seen it, "
        "and list the labels most likely wrong",
        [
            "--config configs/demo.toml",
            "--config configs/demo.toml --folds 10 --out runs/ten-folds",
        ],
    )
    command.add_argument(
        "--folds",
        metavar="K",
        type=whole_number(2, 100),
        help="parts, each held out once (default: evaluation.folds)",
    )
    command.add_argument(
        "--out",
        metavar="FOLDER",
        help="folder for the results (default: run.dir with -cross-validation at its end)",
    )
    add_no_store(command)
    command.set_defaults(run=run)


def run(arguments: Namespace) -> None:
    """Fit once for each fold, and judge every image by a model that has not seen it."""
    if arguments.folds is not None:
        arguments.set.append(f"evaluation.folds={arguments.folds}")
    config = load_config(arguments)
    out = Path(arguments.out or run_folder.cross_validation_folder(config.run.dir))
    run_folder.check_run_folder(out, results=run_folder.CROSS_VALIDATION)
    with command_session(config, arguments, meanwhile=import_training) as spark:
        from glasses_spark.pipeline.pipeline import GlassesPipeline

        result = GlassesPipeline(config, progress=make_progress()).cross_validate(spark, out)
        print(f"\n{result}")
