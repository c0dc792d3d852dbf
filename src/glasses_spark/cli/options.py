"""Options that several commands share, and types of their values."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TypeAlias

from glasses_spark.config.fields import Kind

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(
    commands: Commands,
    name: str,
    summary: str,
    examples: Sequence[str],
) -> argparse.ArgumentParser:
    """Add a command that reads a configuration.

    Args:
        commands: Subparsers of the command line.
        name: Name of the command.
        summary: What it does, as a lower-case imperative without a full stop.
        examples: Arguments of example calls.
    """
    command = add_bare_command(commands, name, summary, examples)
    command.add_argument("--config", metavar="FILE", help="TOML file; see docs/configuration.md")
    command.add_argument(
        "--set",
        metavar="SECTION.KEY=VALUE",
        action="append",
        default=[],
        help="override a key of the configuration file; may be repeated",
    )
    return command


def add_bare_command(
    commands: Commands,
    name: str,
    summary: str,
    examples: Sequence[str],
) -> argparse.ArgumentParser:
    """Add a command with the options of all commands; see ``add_command``."""
    command = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog="examples:\n"
        + "\n".join(f"  glasses-spark {name} {example}".rstrip() for example in examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_argument("--verbose", action="store_true", help="verbose logging")
    command.add_argument(
        "--debug", action="store_true", help="debug logging and tracebacks of errors"
    )
    return command


def add_no_store(command: argparse.ArgumentParser) -> None:
    """Add the option ``--no-store``."""
    command.add_argument(
        "--no-store",
        action="store_true",
        help="decode every image and store no pixels; same as an empty store.dir",
    )


def whole_number_argument(kind: Kind) -> Callable[[str], object]:
    """Return the argument type of a kind of whole numbers."""

    def parse(text: str) -> object:
        try:
            # Digits only: `int` also accepts "1_000".
            return kind.parse(int(text) if text.isdecimal() else text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected {kind.wanted}, got {text!r}") from None

    return parse


def number_argument(kind: Kind) -> Callable[[str], object]:
    """Return the argument type of a kind of numbers."""

    def parse(text: str) -> object:
        try:
            return kind.parse(float(text))
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected {kind.wanted}, got {text!r}") from None

    return parse
