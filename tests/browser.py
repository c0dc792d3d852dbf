"""A browser: Chromium without a window, asked over its own pipe, for tests of pages."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final

# Debian's name first, then those of others.
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_SECONDS: Final = 60.0


def find_browser() -> str | None:
    """The path of an installed Chromium, if there is one."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page of a Chromium, spoken to in the DevTools protocol.

    The protocol goes over two pipes (``--remote-debugging-pipe``), a zero byte after each
    message: no port is opened and no client library is needed.
    """

    def __init__(self, executable: str) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        theirs_in, self._write_end = os.pipe()
        self._read_end, theirs_out = os.pipe()
        self._process = subprocess.Popen(
            [
                # Chromium reads descriptor 3 and writes descriptor 4.
                "bash",
                "-c",
                f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}',
                executable,
                "--headless=new",
                "--remote-debugging-pipe",
                "--no-sandbox",  # tests may run as root, in a container
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-extensions",
                "--disable-background-networking",
                "--hide-scrollbars",
                f"--user-data-dir={self._profile.name}",
                "about:blank",
            ],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._received = b""
        self._last = 0
        self.events: deque[dict[str, Any]] = deque()
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Chromium ends when nobody is left to ask it.
        os.close(self._write_end)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read_end)
        self._profile.cleanup()

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command and return its result; what happens meanwhile joins the events."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": parameters}
        if hasattr(self, "_session") and not method.startswith("Target."):
            message["sessionId"] = self._session
        os.write(self._write_end, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._last:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def wait_for(self, event: str) -> None:
        """Wait until an event has come that was not waited for before."""
        seen = 0
        while True:
            while seen < len(self.events):
                if self.events[seen]["method"] == event:
                    return
                seen += 1
            self.events.append(self._next())

    def open(self, page: Path, *, width: int, scheme: str) -> None:
        """Open a file.

        Args:
            page: The file.
            width: Of the window, in CSS pixels.
            scheme: ``light`` or ``dark``.
        """
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.ask(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        self.events.clear()
        self.ask("Page.navigate", url=page.absolute().as_uri())
        self.wait_for("Page.loadEventFired")

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression on the page; promises are awaited."""
        answer = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def screenshot(self, *, clip: dict[str, float] | None = None) -> bytes:
        """Return the whole page, or a part of it, as PNG."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        part = clip or {"x": 0, "y": 0, "width": size["width"], "height": size["height"]}
        shot = self.ask(
            "Page.captureScreenshot",
            captureBeyondViewport=True,
            clip={**part, "scale": 1},
        )
        return base64.b64decode(shot["data"])

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + _SECONDS
        while b"\0" not in self._received:
            ready, _, _ = select.select(
                [self._read_end], [], [], max(0.0, deadline - time.monotonic())
            )
            if not ready:
                raise TimeoutError(f"the browser said nothing for {_SECONDS:.0f} s")
            got = os.read(self._read_end, 1 << 20)
            if not got:
                raise RuntimeError(f"the browser has ended, with {self._process.wait()}")
            self._received += got
        first, _, self._received = self._received.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        return message


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser for the block; the caller has seen to it that there is one."""
    executable = find_browser()
    assert executable is not None
    with Browser(executable) as one:
        yield one
