"""The command ``glasses-spark advise``."""

from __future__ import annotations

import json
from argparse import Namespace

from glasses_spark.cli.configuration import load_config
from glasses_spark.cli.options import Commands, add_command
from glasses_spark.cli.output import make_progress


def add_parser(commands: Commands) -> None:
    """Add the command and its options."""
    command = add_command(
        commands,
        "advise",
        "measure this machine on the data, and forecast the time and memory of a run",
        ["--config configs/demo.toml", "--config configs/kaggle.toml --json"],
    )
    command.add_argument("--json", action="store_true", help="print the forecast as JSON")
    command.set_defaults(run=run)


def run(arguments: Namespace) -> None:
    """Measure this machine on the data, and forecast the time and memory of a run."""
    from glasses_spark.preflight.advise.advisor import advise_run

    config = load_config(arguments)
    with make_progress().stage("Measuring this machine, about 25 s"):
        report = advise_run(config)
    print(json.dumps(report.as_dict(), indent=2) if arguments.json else report)
