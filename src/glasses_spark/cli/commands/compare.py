"""The command ``glasses-spark compare``."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

from glasses_spark.cli.options import Commands, add_bare_command
from glasses_spark.cli.output import open_output


def add_parser(commands: Commands) -> None:
    """Add the command and its options."""
    command = add_bare_command(
        commands,
        "compare",
        "compare runs: settings, metrics, and whether their models differ significantly",
        [
            "runs/demo runs/synchronous",
            "runs/* --html comparison.html",
            "runs/demo runs/other --json",
        ],
    )
    command.add_argument(
        "runs", metavar="RUN", nargs="+", help="run folder that train wrote; at least two"
    )
    command.add_argument(
        "--html", metavar="FILE", help="also write a page with the learning curves"
    )
    command.add_argument("--json", action="store_true", help="print the comparison as JSON")
    command.set_defaults(run=run)


def run(arguments: Namespace) -> None:
    """Compare runs; needs neither Spark nor TensorFlow."""
    from glasses_spark.evaluation.compare import compare
    from glasses_spark.runs.read import read_runs

    comparison = compare(read_runs([Path(run) for run in arguments.runs]))
    if arguments.html:
        from glasses_spark.reports.compare_page import render_page

        page = render_page(comparison)
        with open_output(arguments.html, option="--html") as file:
            file.write(page)
    if arguments.json:
        print(json.dumps(comparison.as_dict(), indent=2))
        return
    from rich.console import Console

    from glasses_spark.reports.compare_text import print_comparison

    print_comparison(comparison, Console())
