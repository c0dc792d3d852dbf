"""Headless Chromium, controlled through the DevTools protocol, for tests of pages."""

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

# Debian's name first.
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_TIMEOUT_S: Final = 60.0


def find_browser() -> str | None:
    """Return the path of an installed Chromium, or None."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page of a headless Chromium.

    The DevTools protocol runs over two pipes (``--remote-debugging-pipe``) with a zero byte
    after each message, so it needs no port and no client library.
    """

    def __init__(self, executable: str) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        chromium_in, self._write_end = os.pipe()
        self._read_end, chromium_out = os.pipe()
        self._process = subprocess.Popen(
            [
                # Chromium reads descriptor 3 and writes descriptor 4.
                "bash",
                "-c",
                f'exec "$0" "$@" 3<&{chromium_in} 4>&{chromium_out}',
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
            pass_fds=(chromium_in, chromium_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(chromium_in)
        os.close(chromium_out)
        self._received = b""
        self._last_id = 0
        self.events: deque[dict[str, Any]] = deque()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Chromium exits when its input closes.
        os.close(self._write_end)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read_end)
        self._profile.cleanup()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; events in between are appended to ``events``."""
        self._last_id += 1
        message: dict[str, Any] = {"id": self._last_id, "method": method, "params": parameters}
        if hasattr(self, "_session") and not method.startswith("Target."):
            message["sessionId"] = self._session
        os.write(self._write_end, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._last_id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def wait_for(self, event: str) -> None:
        """Wait until ``events`` contains an event of this method."""
        checked = 0
        while True:
            while checked < len(self.events):
                if self.events[checked]["method"] == event:
                    return
                checked += 1
            self.events.append(self._receive())

    def open(self, page: Path | str, *, width: int, scheme: str) -> None:
        """Open a page and wait until it is loaded.

        Args:
            page: HTML file, or the URL of a page.
            width: Width of the window in CSS pixels.
            scheme: Preferred colour scheme, ``light`` or ``dark``.
        """
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        self.events.clear()
        url = page if isinstance(page, str) else page.absolute().as_uri()
        self.call("Page.navigate", url=url)
        self.wait_for("Page.loadEventFired")

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression on the page; promises are awaited."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def screenshot(self, *, clip: dict[str, float] | None = None) -> bytes:
        """Return the page, or the rectangle ``clip`` of it, as PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        area = clip or {"x": 0, "y": 0, "width": size["width"], "height": size["height"]}
        screenshot = self.call(
            "Page.captureScreenshot",
            captureBeyondViewport=True,
            clip={**area, "scale": 1},
        )
        return base64.b64decode(screenshot["data"])

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + _TIMEOUT_S
        while b"\0" not in self._received:
            ready, _, _ = select.select(
                [self._read_end], [], [], max(0.0, deadline - time.monotonic())
            )
            if not ready:
                raise TimeoutError(f"no message from the browser for {_TIMEOUT_S:.0f} s")
            data = os.read(self._read_end, 1 << 20)
            if not data:
                raise RuntimeError(f"the browser exited with code {self._process.wait()}")
            self._received += data
        first, _, self._received = self._received.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        return message


@contextmanager
def browser() -> Iterator[Browser]:
    """Provide a browser while the block runs; one must be installed (see `find_browser`)."""
    executable = find_browser()
    assert executable is not None
    with Browser(executable) as running:
        yield running
