"""Tests that docs/errors.md has each error of the source, and a test that makes it."""

from __future__ import annotations

import re

from tests.error_sites import recorded, sites
from tests.errors_reference import PAGE, page
from tests.paths import ROOT

_AGAIN = "run python -m pytest --record-errors TESTS, then python -m tests.errors_reference"


def test_the_page_is_that_of_the_source() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), _AGAIN


def test_the_named_tests_exist() -> None:
    for test in set(recorded().values()):
        path, *_, name = test.split("::")
        text = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"\bdef {re.escape(name)}\(", text), f"{test}: {_AGAIN}"


def test_no_message_begins_with_unexpected() -> None:
    assert not [site for site in sites() if site.message.lower().startswith("unexpected")]


def test_messages_say_something() -> None:
    short = [site for site in sites() if len(re.sub(r"<[^>]*>", "", site.message)) < 4]
    assert {(site.module, site.message) for site in short} <= {
        # The message is made elsewhere, or is that of another error.
        ("scoring/row_predictions.py", "<invalid[0]>"),
        ("training/keras_objects.py", "<advice>"),
        ("training/server/parameter_server.py", "<text>"),
        ("training/server/rpc.py", "<method>: <error.details()>"),
        ("preprocessing/decoding/batches.py", "<UNREADABLE>: <error.strerror>"),
        ("training/saving.py", "<path>: <_KERAS_ADVICE>"),
        ("runs/folder.py", "<wanted>: <error>"),
    }
