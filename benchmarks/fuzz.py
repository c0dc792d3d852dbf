"""Fuzzing: every way by which a stranger's bytes enter the library, for ten minutes each.

    python benchmarks/fuzz.py [TARGET ...] [--seconds 600] [--seed 1] [--corpus FOLDER]

Runs ``tests/fuzz/fuzz_one.py`` for each target, one after the other. ``results/fuzz.json`` has the
number of inputs and of reached branches, and the faults; the inputs that showed them are in the
folder ``faults`` of the corpus. The corpus is kept between runs.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.fuzz.targets import TARGETS
from tests.paths import ROOT

from environment import describe, read_result, write_result

# Last lines of the log of a target that showed a fault.
LINES = 30


def main() -> None:
    arguments = _arguments()
    results: dict[str, Any] = {}
    for name in arguments.targets or TARGETS:
        results[name] = _fuzz(name, arguments)
        figures = {key: value for key, value in results[name].items() if key != "log"}
        print(name, figures, flush=True)
        settings = {"seconds": arguments.seconds, "seed": arguments.seed}
        path = write_result("fuzz", describe("fuzz", settings) | {"targets": _merged(results)})
    print(path)
    if any(result["exit_code"] for result in results.values()):
        sys.exit("faults were found, or a target was killed")


def _fuzz(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    corpus, faults = arguments.corpus / name, arguments.corpus / "faults" / name
    for folder in (corpus, faults):
        folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.fuzz_one", name]
    options = {"seconds": arguments.seconds, "seed": arguments.seed}
    options |= {"corpus": corpus, "crashes": faults}
    began = time.perf_counter()
    done = subprocess.run(
        [*command, *(f"--{option}={value}" for option, value in options.items())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    failed = done.returncode != 0
    return {
        "inputs": _last_number(r"stat::number_of_executed_units: (\d+)", done.stderr),
        "branches": _last_number(r"\bcov: (\d+)", done.stderr),
        "corpus": len(list(corpus.iterdir())),
        "seconds": round(time.perf_counter() - began),
        "peak_mb": _last_number(r"stat::peak_rss_mb: +(\d+)", done.stderr),
        "exit_code": done.returncode,
        "faults": sorted(path.name for path in faults.iterdir()) if failed else [],
        "log": done.stderr.splitlines()[-LINES:] if failed else [],
    }


def _merged(results: dict[str, Any]) -> dict[str, Any]:
    """Return the results of this run, and those of other targets of the last one."""
    try:
        return read_result("fuzz")["targets"] | results
    except FileNotFoundError:
        return results


def _last_number(pattern: str, text: str) -> int | None:
    found = re.findall(pattern, text)
    return int(found[-1]) if found else None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, default=Path(tempfile.gettempdir()) / "fuzz-corpus")
    return parser.parse_args()


if __name__ == "__main__":
    main()
