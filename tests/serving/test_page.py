"""Tests of the page of the service, in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Browser, browser, find_browser
from tests.contrast import relative_luminance
from tests.faces import noise_png
from tests.serving.service import Service, running, write_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_browser() is None,
        reason="Chromium is not installed; on Debian: apt-get install chromium",
    ),
]

WAIT = """new Promise(resolve => {{
    const look = () => {condition} ? resolve(true) : setTimeout(look, 10);
    look();
}})"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("model") / "model.onnx"
    write_model(file)
    return file


@pytest.fixture(scope="module")
def service(model: Path) -> Iterator[Service]:
    with running(model) as running_service:
        yield running_service


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running_browser:
        yield running_browser


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    (tmp_path / "me.png").write_bytes(noise_png(300, 200))
    return tmp_path / "me.png"


def choose(chromium: Browser, file: Path) -> None:
    """Choose a file as the dialog of the browser does."""
    document = chromium.call("DOM.getDocument")["root"]["nodeId"]
    node = chromium.call("DOM.querySelector", nodeId=document, selector="#file")["nodeId"]
    chromium.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])


def wait(chromium: Browser, condition: str) -> None:
    assert chromium.evaluate(WAIT.format(condition=condition))


def press(chromium: Browser, key: str, code: int, text: str = "") -> None:
    common: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code}
    chromium.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
    chromium.call("Input.dispatchKeyEvent", type="keyUp", **common)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [380, 1400])
def test_a_picture_gets_an_answer_at_each_width_and_in_each_scheme(
    chromium: Browser, service: Service, photo: Path, width: int, scheme: str
) -> None:
    chromium.open(service.url, width=width, scheme=scheme)
    choose(chromium, photo)
    wait(chromium, "!document.getElementById('result').hidden")

    answer = service.ask("POST", "/explain", photo.read_bytes()).json
    probability = answer["result"]["probability"]
    heading = chromium.evaluate("document.getElementById('answer').textContent")
    assert heading.endswith(f"the probability of glasses is {100 * probability:.1f} %")
    assert heading.startswith("Glasses" if probability >= 0.5 else "No glasses")
    # The answer is read to those who do not see it.
    assert chromium.evaluate("document.activeElement.id") == "answer"
    wait(chromium, "[...document.images].every(image => image.complete)")
    sizes = chromium.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert sizes == [200, 32, 32]

    assert chromium.evaluate("document.documentElement.scrollWidth <= innerWidth")
    background = luminance(chromium, "document.body", "backgroundColor")
    assert (background > 0.8) == (scheme == "light")
    for selector in ("h1", "main > p", "figcaption", "#strength", "#drop span", ".for", ".against"):
        text = luminance(chromium, f"document.querySelector('{selector}')", "color")
        bright, dark = max(text, background), min(text, background)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, selector

    messages = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
    assert [event for event in chromium.events if event["method"] in messages] == []
    requests = [
        event["params"]["request"]["url"]
        for event in chromium.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert all(url.startswith((service.url, "data:", "blob:")) for url in requests)


def test_it_works_by_keyboard(chromium: Browser, service: Service, photo: Path) -> None:
    chromium.open(service.url, width=1400, scheme="light")
    reached = []
    for _ in range(2):
        press(chromium, "Tab", 9)
        reached.append(chromium.evaluate("document.activeElement.id"))
    assert reached == ["file", "camera"]
    outlined = "getComputedStyle(document.querySelector('.button')).outlineStyle"
    assert chromium.evaluate(outlined) == "solid"
    choose(chromium, photo)
    wait(chromium, "!document.getElementById('result').hidden")
    press(chromium, "Tab", 9)
    assert chromium.evaluate("document.activeElement.id") == "overlay"
    press(chromium, " ", 32, " ")
    assert chromium.evaluate("document.getElementById('evidence').hidden")


def test_a_file_that_is_no_picture_is_told(
    chromium: Browser, service: Service, tmp_path: Path
) -> None:
    (tmp_path / "note.png").write_text("text")
    chromium.open(service.url, width=1400, scheme="light")
    choose(chromium, tmp_path / "note.png")
    wait(chromium, "document.getElementById('status').className === 'error'")
    status = chromium.evaluate("document.getElementById('status').textContent")
    assert status == "No answer: not a PNG or JPEG file"
    assert chromium.evaluate("document.getElementById('result').hidden")


def test_a_token_is_asked_for(chromium: Browser, model: Path, photo: Path) -> None:
    with running(model, GLASSES_SPARK_TOKEN="secret") as service:
        chromium.open(service.url, width=380, scheme="light")
        choose(chromium, photo)
        wait(chromium, "document.activeElement.id === 'token'")
        chromium.call("Input.insertText", text="secret")
        press(chromium, "Enter", 13, "\r")
        wait(chromium, "!document.getElementById('result').hidden")
        assert chromium.evaluate("document.getElementById('access').hidden")


def luminance(chromium: Browser, element: str, name: str) -> float:
    colour: str = chromium.evaluate(f"getComputedStyle({element}).{name}")
    channels = colour.removeprefix("rgb(").removesuffix(")").split(",")
    return relative_luminance([int(channel) / 255 for channel in channels])
