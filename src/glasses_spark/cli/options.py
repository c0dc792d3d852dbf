"""Options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(
    commands: Commands,
    name: str,
    summary: str,
    examples: Sequence[str],
) -> argparse.ArgumentParser:
    """Add a command that reads a configuration."""
    command = add_bare_command(commands, name, summary, examples)
    command.add_argument("--config", metavar="FILE", help="TOML file; see docs/configuration.md")
    command.add_argument(
        "--set",
        metavar="SECTION.KEY=VALUE",
        action="append",
        default=[],
        help="override one key of the file; may be repeated",
    )
    return command


def add_bare_command(
    commands: Commands,
    name: str,
    summary: str,
    examples: Sequence[str],
) -> argparse.ArgumentParser:
    """Add a command with the options that every command has."""
    command = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog="examples:\n"
        + "\n".join(f"  glasses-spark {name} {one}".rstrip() for one in examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_argument("--verbose", action="store_true", help="verbose logging")
    command.add_argument(
        "--debug", action="store_true", help="debug logging, and tracebacks of errors"
    )
    return command


def add_no_store(command: argparse.ArgumentParser) -> None:
    """Add the option ``--no-store``."""
    command.add_argument(
        "--no-store",
        action="store_true",
        help="decode every image and keep no pixels; the same as an empty store.dir",
    )


def whole_number(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return an argument type: a whole number from ``low`` to ``high``, or of any size."""
    wanted = f"a whole number >= {low}" if high is None else f"a whole number from {low} to {high}"

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < low or (high is not None and int(text) > high):
            raise argparse.ArgumentTypeError(f"expected {wanted}, got {text!r}")
        return int(text)

    return parse
