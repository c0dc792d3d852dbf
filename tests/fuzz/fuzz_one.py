"""Fuzz one target for some seconds, with Atheris.

    python -m tests.fuzz.fuzz_one TARGET [--seconds 600] [--seed 1] [--corpus FOLDER]

Starts from the seeds of the target and the inputs of earlier runs in the folder, where inputs that
reach new code are added. An input that shows a fault is written to ``crash-...``, the error is on
stderr, and the exit status is not 0. Copied to ``tests/fuzz/inputs/TARGET``, it becomes a test.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from random import Random

import atheris

from tests.fuzz.targets import TARGETS

# Beyond these an input is a fault: of an image or message of a stranger, not of a large fit.
SECONDS_FOR_ONE = 20
MEGABYTES = 4096
LONGEST = 1 << 17


def main() -> None:
    arguments = _arguments()
    with atheris.instrument_imports(include=["glasses_spark"]):
        from tests.fuzz.targets import target_named

        target = target_named(arguments.target)
    with tempfile.TemporaryDirectory() as first:
        for number, seed in enumerate(target.seeds()):
            (Path(first) / f"seed-{number}").write_bytes(seed)
        options = [
            f"-max_total_time={arguments.seconds}",
            f"-seed={arguments.seed}",
            f"-timeout={SECONDS_FOR_ONE}",
            f"-rss_limit_mb={MEGABYTES}",
            f"-max_len={LONGEST}",
            "-len_control=0",
            "-print_final_stats=1",
            f"-artifact_prefix={arguments.crashes}/",
        ]
        folders = [str(arguments.corpus)] if arguments.corpus else []
        with target.opened() as check:
            mutator = None
            if (mutate := target.mutate) is not None:

                def mutator(data: bytes, longest: int, seed: int) -> bytes:
                    chance = Random(seed)
                    if target.any_bytes and chance.randrange(4) == 0:
                        return bytes(atheris.Mutate(data, longest))
                    return mutate(data, chance)[:longest]

            atheris.Setup([sys.argv[0], *options, *folders, first], check, custom_mutator=mutator)
            atheris.Fuzz()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--crashes", type=Path, default=Path(), help="folder of inputs with faults")
    return parser.parse_args()


if __name__ == "__main__":
    main()
