"""Tests of the service: a real server, asked by a real client."""

from __future__ import annotations

import base64
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from glasses_spark.preprocessing.decoding.decode import decode
from glasses_spark.preprocessing.decoding.jpeg import decode_jpeg
from tests.faces import encode_png, noise_png
from tests.serving.service import SIDE, Answer, Service, form, probability, running, write_model

pytestmark = pytest.mark.slow

MAX_BYTES = 200_000


@dataclass(frozen=True)
class Model:
    file: Path
    network: Any


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    file = tmp_path_factory.mktemp("model") / "model.onnx"
    return Model(file, write_model(file))


@pytest.fixture(scope="module")
def service(model: Model) -> Iterator[Service]:
    with running(model.file, "--max-bytes", str(MAX_BYTES), "--timeout", "2") as running_service:
        yield running_service


def test_one_image_is_the_body(service: Service, model: Model) -> None:
    content = noise_png(40, 50)
    answer = service.ask("POST", "/predict", content, Content_Type="image/png")
    assert answer.status == 200
    expected = probability(model.network, decode(content, SIDE, SIDE))
    (result,) = answer.json.pop("results")
    assert result.pop("probability") == pytest.approx(expected, abs=1e-5)
    label = int(expected >= 0.5)
    assert result == {"name": "", "predicted_label": label, "error": None, "warning": None}
    assert answer.json["model"] == "0123456789abcdef"


def test_a_form_has_many_images_some_of_which_may_be_none(service: Service, model: Model) -> None:
    jpeg = cv2.imencode(".jpg", np.full((60, 60), 99, np.uint8))[1].tobytes()
    body, kind = form(
        ("a.png", noise_png()), ("note.txt", b"text"), ("\x1b[2J.jpg", jpeg), fields=2
    )
    answer = service.ask("POST", "/predict", body, Content_Type=kind)
    assert answer.status == 200
    first, second, third = answer.json["results"]
    assert first["name"] == "a.png"
    assert second["probability"] is None
    assert second["error"] == "not a PNG or JPEG file"
    expected = probability(model.network, decode_jpeg(jpeg, SIDE, SIDE))
    assert third["probability"] == pytest.approx(expected, abs=1e-5)
    assert "\x1b" not in third["name"]


TWO_FILES = form(("a.png", noise_png()), ("b.png", noise_png()))[0]


@pytest.mark.parametrize(
    ("body", "headers", "status", "message"),
    [
        (b"", {}, 400, "expected a PNG or JPEG file, found none"),
        (b"GIF89a", {}, 422, "not a PNG or JPEG file"),
        (noise_png()[:-20], {}, 422, "truncated"),
        (b"{}", {"Content_Type": "application/json"}, 415, "got 'application/json'"),
        (b"a" * (MAX_BYTES + 1), {}, 413, "expected at most 200,000 bytes"),
        (iter([b"a" * 150_000, b"a" * 150_000]), {}, 413, "expected at most 200,000 bytes"),
        (b"x", {"Content_Type": "multipart/form-data"}, 400, "multipart/form-data: "),
        (b"x", {"Content_Type": "multipart/form-data; boundary=a"}, 400, ""),
        (form(fields=3)[0], {"Content_Type": form()[1]}, 400, "found none"),
        (form(fields=40)[0], {"Content_Type": form()[1]}, 400, "Too many fields"),
        (form(*[("a.png", b"a")] * 65)[0], {"Content_Type": form()[1]}, 400, "Too many files"),
        (TWO_FILES[:-20], {"Content_Type": form()[1]}, 400, "the last boundary is missing"),
        (TWO_FILES[:-200], {"Content_Type": form()[1]}, 400, "the last boundary is missing"),
        (noise_png(), {"Content_Type": "\xff"}, 415, "expected image/png"),
    ],
    ids=[
        *("empty", "gif", "truncated", "type", "large", "large without a length", "no boundary"),
        *("no parts", "no files", "fields", "files", "no end", "cut file", "odd type"),
    ],
)
def test_a_bad_request_is_refused_with_its_reason(
    service: Service, body: Any, headers: dict[str, str], status: int, message: str
) -> None:
    answer = service.ask("POST", "/predict", body, **headers)
    assert answer.status == status
    assert message in answer.json["error"]


def test_an_image_that_would_be_huge_is_refused_before_it_is_decoded(service: Service) -> None:
    _, content = cv2.imencode(".png", np.zeros((9000, 9000), np.uint8))
    answer = service.ask("POST", "/predict", content.tobytes())
    assert answer.status == 422
    assert "more than 67108864" in answer.json["error"]


def test_other_paths_and_methods_are_refused(service: Service) -> None:
    assert service.ask("GET", "/predict").status == 405
    assert service.ask("GET", "/nothing").status == 404
    assert service.ask("GET", "/../etc/passwd").status == 404


def test_a_body_that_does_not_arrive_is_given_up(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\na"
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_a_page_of_another_site_cannot_use_it_under_its_name(service: Service) -> None:
    assert service.ask("GET", "/", Host="attacker.example").status == 421
    assert service.ask("GET", "/", Host="localhost:80").status == 200
    assert service.ask("GET", "/", Host="[::1]").status == 200


def test_the_interface_describes_itself(service: Service) -> None:
    described = service.ask("GET", "/openapi.json").json
    assert set(described["paths"]) == {"/predict", "/explain", "/healthz", "/metrics"}
    assert "multipart/form-data" in described["paths"]["/predict"]["post"]["requestBody"]["content"]
    answer = service.ask("GET", "/healthz")
    assert answer.json == {"status": "ok", "model": "0123456789abcdef"}
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_requests_and_images_are_counted(service: Service) -> None:
    def counted() -> dict[str, float]:
        lines = service.ask("GET", "/metrics").content.decode().splitlines()
        samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    before = counted()
    body, kind = form(("a.png", noise_png()), ("b.png", b"text"))
    service.ask("POST", "/predict", body, Content_Type=kind)
    service.ask("GET", "/some/path")
    after = counted()
    for name in (
        'glasses_spark_images_total{outcome="scored"}',
        'glasses_spark_images_total{outcome="undecodable"}',
        'glasses_spark_requests_total{path="/predict",status="200"}',
        'glasses_spark_requests_total{path="other",status="404"}',
    ):
        assert after[name] == before.get(name, 0) + 1
    assert after["glasses_spark_images_in_work"] == 0


def test_requests_at_once_are_all_answered(service: Service, model: Model) -> None:
    images = [noise_png(seed=seed) for seed in range(40)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda image: service.ask("POST", "/predict", image), images))
    found = [answer.json["results"][0]["probability"] for answer in answers]
    pixels = np.stack([decode(image, SIDE, SIDE) for image in images])[..., np.newaxis]
    expected = model.network.predict(pixels, verbose=0)[:, 0]
    assert found == pytest.approx(expected.tolist(), abs=1e-5)


def test_more_images_than_there_are_places_are_refused_for_now(model: Model) -> None:
    body, kind = form(*[("a.png", noise_png())] * 3)
    with running(model.file, "--queue", "2") as small:
        answer = small.ask("POST", "/predict", body, Content_Type=kind)
        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"
        assert small.ask("POST", "/predict", noise_png()).status == 200


def test_an_explanation_shows_what_the_network_saw(service: Service) -> None:
    content = noise_png(40, 50)
    answer = service.ask("POST", "/explain", content).json
    seen, evidence = (
        cv2.imdecode(np.frombuffer(base64.b64decode(answer[name]), np.uint8), flag)
        for name, flag in (("seen", cv2.IMREAD_UNCHANGED), ("evidence", cv2.IMREAD_UNCHANGED))
    )
    assert np.array_equal(seen, decode(content, SIDE, SIDE))
    assert evidence.shape == (SIDE, SIDE, 4)
    assert evidence[..., 3].max() == 200
    assert answer["strongest"] > 0
    assert answer["result"]["probability"] is not None
    body, kind = form(*[("a.png", content)] * 2)
    assert service.ask("POST", "/explain", body, Content_Type=kind).status == 400
    assert (
        service.ask("POST", "/explain", encode_png(np.zeros((8, 8), np.uint8))[:20]).status == 422
    )


def test_a_token_is_needed_where_there_is_one(model: Model, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("correct horse\n")
    with running(model.file, "--token-file", str(tmp_path / "token")) as closed:

        def ask(path: str, token: str) -> Answer:
            return closed.ask("POST", path, noise_png(), Authorization=f"Bearer {token}")

        assert ask("/predict", "correct horse").status == 200
        for token in ("", "correct", "correct horse "[:-1] + "x", "\xe9"):
            answer = ask("/predict", token)
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        answer = closed.ask("POST", "/predict", noise_png(), Authorization="correct horse")
        assert answer.status == 401
        assert closed.ask("GET", "/metrics").status == 401
        assert closed.ask("GET", "/openapi.json").status == 401
        assert closed.ask("GET", "/").status == 200
        assert closed.ask("GET", "/healthz").status == 200
    with running(model.file, GLASSES_SPARK_TOKEN="other") as closed:
        assert closed.ask("POST", "/predict", noise_png()).status == 401


def test_a_signal_lets_running_requests_end(model: Model) -> None:
    with running(model.file) as service:
        connection = socket.create_connection(("127.0.0.1", service.port))
        image = noise_png()
        head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(image)}\r\n\r\n"
        connection.sendall(head.encode() + image[:50])
        # Answered, so the request before it has arrived as well.
        assert service.ask("GET", "/healthz").status == 200
        service.process.send_signal(signal.SIGTERM)
        connection.sendall(image[50:])
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        connection.close()
        _, errors = service.process.communicate(timeout=60)
        assert service.process.returncode == 128 + signal.SIGTERM
        assert "Traceback" not in errors


def test_what_cannot_be_served_is_told_at_once(model: Model, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for options, message in (
            (["--port", str(port)], f"--port {port}: cannot be opened"),
            (["--token-file", str(tmp_path / "none")], "--token-file: cannot read"),
            (["--model", str(tmp_path / "none.onnx")], "no such file"),
        ):
            command = [sys.executable, "-m", "glasses_spark", "serve", "--model", str(model.file)]
            done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
            assert done.returncode in (1, 2)
            assert message in done.stderr
            assert "Traceback" not in done.stderr
