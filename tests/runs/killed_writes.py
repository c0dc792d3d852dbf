"""Program that kills itself at each step of writing a run folder, and recovers each time.

The recovery is killed as well, and done again.

    python -m tests.runs.killed_writes FOLDER [--rename]

Prints one line for each step: the name of the step, and what the run folder and the folder
beside it contain after the recovery.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from glasses_spark.runs import exchange
from glasses_spark.runs.new_folder import new_run_folder
from glasses_spark.runs.staging import recover

# What Python tells an audit hook before it changes the disk.
_STEPS = ("os.", "shutil.", "open")


def write(folder: Path, text: str) -> None:
    (folder / "config.toml").write_text(text)
    (folder / "metrics.json").write_text(text)
    (folder / "model").mkdir()
    (folder / "model" / "weights").write_text(text)


def write_run(folder: Path, text: str) -> None:
    with new_run_folder(folder) as new:
        new.finish(lambda new: write(new, text))


def kill_at(number: int, *, quietly: bool = False) -> None:
    steps = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal steps
        if event.startswith(_STEPS):
            steps += 1
            if steps == number:
                os.write(1, b"" if quietly else event.encode())
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def age(folder: Path) -> None:
    """Pretend that a minute has passed: until then a process may be about to lock a new folder."""
    for parent in (folder, folder.parent):
        for path in parent.glob(".run.*.new"):
            for each in (path, *path.glob(".owner")):
                os.utime(each, (0, 0))


def main() -> None:
    folder = Path(sys.argv[1])
    if "--rename" in sys.argv:
        exchange.exchange = lambda one, other: False  # as on systems that cannot
    write_run(folder, "old")
    (folder / "notes.txt").write_text("mine")
    number = 0
    while True:
        number += 1
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            kill_at(number)
            write_run(folder, f"new {number}")
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        age(folder)
        if os.fork() == 0:
            kill_at(number % 16, quietly=True)
            recover(folder)
            os._exit(0)
        os.wait()
        age(folder)
        recover(folder)
        texts = {path.read_text() for path in folder.rglob("*") if path.is_file()}
        names = sorted(path.name for path in folder.iterdir())
        beside = sorted(path.name for path in folder.parent.iterdir())
        print(f"{'end' if status == 0 else ''} | {sorted(texts)} | {names} | {beside}")
        if status == 0:
            return


if __name__ == "__main__":
    main()
