"""Command `advise`."""

from __future__ import annotations

import json
from argparse import Namespace

from glasses_spark.cli.options import Commands, add_command
from glasses_spark.cli.session import load_config, make_progress


def add_parser(commands: Commands) -> None:
    """Add the command with its options."""
    command = add_command(
        commands,
        "advise",
        "measure this machine on the data, and say what a run will take and how to train",
        ["--config configs/demo.toml", "--config configs/kaggle.toml --json"],
    )
    command.add_argument("--json", action="store_true", help="print the forecasts as JSON")
    command.set_defaults(run=run)


def run(arguments: Namespace) -> None:
    """Measure this machine on the data, and say what a run will take and how to train."""
    from glasses_spark.preflight.advise.advisor import advise_run

    config = load_config(arguments)
    with make_progress().stage("Measuring this machine, some 25 s"):
        report = advise_run(config)
    print(json.dumps(report.as_dict(), indent=2) if arguments.json else report)
