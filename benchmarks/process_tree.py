"""Process tree: what a command and all the processes that it starts take, from /proc."""

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
# The proportional size of a process takes milliseconds to find: it is asked for only
# where the resident size has grown by so much since.
_GROWN = 1.03


@dataclass(frozen=True)
class Usage:
    """What a command took.

    Attributes:
        seconds: From its start to its end.
        answer_s: From its start to the line that was waited for; None without one.
        cpu_s: Processor seconds, user and system, of it and of all that it started, also
            of what ended after it: as each process was last seen, so that the last
            moments of each may be missing.
        peak_mb: Most resident memory of all its processes at one time, MiB; pages that
            processes share count in each.
        peak_shared_once_mb: The same with such pages parted between them (Pss), near that
            time.
        peak_by_kind_mb: Most memory that all processes of a kind held of their own at one
            time (RssAnon), MiB; pages of files are the kernel's, which drops them when it
            needs room.
        code: Its exit status.
        output: What it wrote to standard output.
        errors: What it wrote to standard error.
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
        """The figures that go into a result."""
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
    """Run a command to its end, and that of all that it started.

    Args:
        command: What to run; this process must have no other children.
        folder: Where it runs.
        environment: Variables beside those of this process.
        answer: How the line begins whose time is wanted, on either output; the first one.
    """
    # What loses its parent becomes a child of this process, which can then see it and wait
    # for it: a JVM ends after the Python that started it.
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
            # Until the last process that holds the pipe has ended.
            outputs = [readers.submit(_read, pipe) for pipe in (process.stdout, process.stderr)]
            code = process.wait()
            seconds = time.perf_counter() - start
            lines = [output.result() for output in outputs]
        with suppress(ChildProcessError):
            while True:
                os.wait()
    answers = [at - start for at, line in (*lines[0], *lines[1]) if line.startswith(answer)]
    texts = ["".join(line for _, line in some) for some in lines]
    return Usage(
        seconds=seconds,
        answer_s=min(answers, default=None) if answer else None,
        # Not what the system adds up for a process that is waited for: nobody waits for the
        # workers of Spark's daemon, which ignores their end.
        cpu_s=sum(watch.ticks.values()) / _TICKS,
        peak_mb=watch.peak / 2**20,
        peak_shared_once_mb=watch.peak_shared_once / 2**20,
        peak_by_kind_mb={kind: peak / 2**20 for kind, peak in sorted(watch.kinds.items())},
        code=code,
        output=texts[0],
        errors=texts[1],
    )


def _read(pipe: IO[bytes]) -> list[tuple[float, str]]:
    """The lines of a pipe, and when each came."""
    with pipe:
        return [(time.perf_counter(), line.decode(errors="replace")) for line in pipe]


class _Watch:
    """Looks at all descendants of this process: memory in bytes, processor time in ticks."""

    def __init__(self) -> None:
        self.peak = 0
        self.peak_shared_once = 0
        self.kinds: dict[str, int] = {}
        # By number and start: numbers are used again.
        self.ticks: dict[tuple[int, str], int] = {}
        self._asked_at = 0.0
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
            if total > _GROWN * self._asked_at:
                self._asked_at = total
                self.peak_shared_once = max(self.peak_shared_once, sum(map(_proportional, pids)))
            kinds: dict[str, int] = {}
            for pid, (_, own) in sizes.items():
                name = _kind(pid)
                kinds[name] = kinds.get(name, 0) + own
            for name, size in kinds.items():
                self.kinds[name] = max(self.kinds.get(name, 0), size)


def _descendants(root: int) -> dict[tuple[int, str], int]:
    """The number and start of each process below one, and the ticks that it has computed."""
    children: dict[int, list[tuple[int, str, int]]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, IndexError):
                # What follows the name in brackets, which may hold anything; from proc(5).
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                parent, user, system, start = (fields[place] for place in (1, 11, 12, 19))
                found = (int(folder.name), start, int(user) + int(system))
                children.setdefault(int(parent), []).append(found)
    below: dict[tuple[int, str], int] = {}
    waiting = [root]
    while waiting:
        for pid, start, ticks in children.get(waiting.pop(), []):
            below[pid, start] = ticks
            waiting.append(pid)
    return below


def _sizes(pid: int) -> tuple[int, int]:
    """All that is resident, and what of it is no file's; (0, 0) where the process has ended."""
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
