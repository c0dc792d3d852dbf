"""The command ``glasses-spark doctor``."""

from __future__ import annotations

import json
from argparse import Namespace

from glasses_spark.cli.configuration import load_config
from glasses_spark.cli.options import Commands, add_command
from glasses_spark.cli.streams import print_summary
from glasses_spark.errors import SetupError
from glasses_spark.printable import printable_text


def add_parser(commands: Commands) -> None:
    """Add the command and its options."""
    command = add_command(
        commands,
        "doctor",
        "check this machine, and with a configuration also data, workers, memory, disk and ports",
        [
            "",
            "--config configs/demo.toml",
            "--config configs/cluster.toml --spark",
            "--config configs/demo.toml --json",
        ],
    )
    command.add_argument(
        "--spark", action="store_true", help="also start Spark, and list the data with it"
    )
    command.add_argument("--json", action="store_true", help="print the checks as JSON")
    command.set_defaults(run=run)


def run(arguments: Namespace) -> None:
    """Check the machine, and the run that a configuration describes."""
    from glasses_spark.preflight.doctor import run_checks
    from glasses_spark.preflight.doctor.check import as_dict, render

    config = load_config(arguments)
    has_config = arguments.config or arguments.set
    checks = run_checks.check_run(config) if has_config else run_checks.check_machine()
    if arguments.spark:
        checks += run_checks.check_started(config)
    print_summary(
        json.dumps(as_dict(checks), indent=2) if arguments.json else printable_text(render(checks))
    )
    if not all(check.ok for check in checks):
        raise SetupError("this machine is not ready for a run. See the failed checks above")
