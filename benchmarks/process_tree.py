"""Measure the time and memory of a command and all processes that it starts, from /proc."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

INTERVAL_S = 0.2
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_SET_CHILD_SUBREAPER = 36  # from linux/prctl.h
# Reading the proportional size of a process takes milliseconds, so it is read only after the
# resident size has grown by this factor.
_GROWN = 1.03


@dataclass(frozen=True)
class Usage:
    """Time and memory of a command.

    Attributes:
        seconds: Time from its start to its end.
        answer_s: Time from its start to the awaited line; None without one.
        cpu_s: CPU seconds, user and system, of all its processes, sampled, so that the last
            moments of each may be missing.
        peak_mb: Peak of the resident memory of all its processes, MiB. Shared pages count
            in each process.
        peak_shared_once_mb: The same with shared pages divided between the processes (Pss).
        peak_by_kind_mb: Peak of the anonymous memory (RssAnon) of all processes of a kind,
            MiB. It excludes pages of files, which the kernel can drop.
        code: Exit status.
        output: Standard output.
        errors: Standard error.
    """

    seconds: float
    answer_s: float | None
    cpu_s: float
    peak_mb: float
    peak_shared_once_mb: float
    peak_by_kind_mb: Mapping[str, float]
    code: int
    output: str
    errors: str

    def as_dict(self) -> dict[str, Any]:
        """Return the values for a result file."""
        answer = {} if self.answer_s is None else {"answer_s": round(self.answer_s, 2)}
        return {
            **answer,
            "seconds": round(self.seconds, 2),
            "cpu_s": round(self.cpu_s, 1),
            "peak_mb": round(self.peak_mb),
            "peak_shared_once_mb": round(self.peak_shared_once_mb),
        }


def run_watched(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    answer: str = "",
) -> Usage:
    """Run a command and wait for all processes that it starts.

    Args:
        command: Command; this process must have no other children.
        folder: Working folder.
        environment: Additional environment variables.
        answer: Start of the line, on either output, whose time to measure.
    """
    # Orphans become children of this process, which can then wait for them: a JVM ends after
    # the Python that started it.
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with _Watch() as watch:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=os.environ | (environment or {}),
        )
        assert process.stdout is not None
        assert process.stderr is not None
        with ThreadPoolExecutor(2) as readers:
            # A pipe ends with the last process that holds it.
            outputs = [readers.submit(_read, pipe) for pipe in (process.stdout, process.stderr)]
            code = process.wait()
            seconds = time.perf_counter() - start
            lines = [output.result() for output in outputs]
        with suppress(ChildProcessError):
            while True:
                os.wait()
    answers = [at - start for at, line in (*lines[0], *lines[1]) if line.startswith(answer)]
    texts = ["".join(line for _, line in output) for output in lines]
    return Usage(
        seconds=seconds,
        answer_s=min(answers, default=None) if answer else None,
        # Not the sum that the system keeps for awaited children: Spark's daemon does not wait
        # for its workers.
        cpu_s=sum(watch.ticks.values()) / _TICKS,
        peak_mb=watch.peak / 2**20,
        peak_shared_once_mb=watch.peak_shared_once / 2**20,
        peak_by_kind_mb={kind: peak / 2**20 for kind, peak in sorted(watch.kinds.items())},
        code=code,
        output=texts[0],
        errors=texts[1],
    )


def _read(pipe: IO[bytes]) -> list[tuple[float, str]]:
    """Return the lines of a pipe, each with its time."""
    with pipe:
        return [(time.perf_counter(), line.decode(errors="replace")) for line in pipe]


class _Watch:
    """Samples all descendants of this process: memory in bytes, CPU time in ticks."""

    def __init__(self) -> None:
        self.peak = 0
        self.peak_shared_once = 0
        self.kinds: dict[str, int] = {}
        # By process id and start time, because ids are reused.
        self.ticks: dict[tuple[int, str], int] = {}
        self._last_total = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(INTERVAL_S):
            processes = _descendants(os.getpid())
            self.ticks.update(processes)
            pids = [pid for pid, _ in processes]
            sizes = {pid: _sizes(pid) for pid in pids}
            total = sum(resident for resident, _ in sizes.values())
            self.peak = max(self.peak, total)
            if total > _GROWN * self._last_total:
                self._last_total = total
                self.peak_shared_once = max(self.peak_shared_once, sum(map(_proportional, pids)))
            kinds: dict[str, int] = {}
            for pid, (_, own) in sizes.items():
                name = _kind(pid)
                kinds[name] = kinds.get(name, 0) + own
            for name, size in kinds.items():
                self.kinds[name] = max(self.kinds.get(name, 0), size)


def _descendants(root: int) -> dict[tuple[int, str], int]:
    """Map the id and start time of each descendant of a process to its CPU ticks."""
    children: dict[int, list[tuple[int, str, int]]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, IndexError):
                # The fields of proc(5) after the name, which is in parentheses.
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                parent, user, system, start = (fields[index] for index in (1, 11, 12, 19))
                process = (int(folder.name), start, int(user) + int(system))
                children.setdefault(int(parent), []).append(process)
    below: dict[tuple[int, str], int] = {}
    waiting = [root]
    while waiting:
        for pid, start, ticks in children.get(waiting.pop(), []):
            below[pid, start] = ticks
            waiting.append(pid)
    return below


def _sizes(pid: int) -> tuple[int, int]:
    """Return the resident and the anonymous memory; (0, 0) if the process has ended."""
    with suppress(OSError, IndexError):
        pages = Path(f"/proc/{pid}/statm").read_text().split()
        return int(pages[1]) * _PAGE, (int(pages[1]) - int(pages[2])) * _PAGE
    return 0, 0


def _proportional(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _kind(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "other"
    if words[0].endswith(b"java"):
        return "jvm"
    if any(word.endswith(b".daemon") for word in words):
        return "python workers"
    return "driver" if b"python" in words[0] else "other"
