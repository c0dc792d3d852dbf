"""Tests for glasses_spark.runtime.driver_address."""

from __future__ import annotations

import socket

import pytest

from glasses_spark.runtime.driver_address import driver_addresses


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ({}, ("127.0.0.1", "127.0.0.1")),
        ({"spark.driver.host": "10.0.0.5"}, ("10.0.0.5", "10.0.0.5")),
        ({"spark.driver.bindAddress": "0.0.0.0"}, ("127.0.0.1", "0.0.0.0")),
        (
            {"spark.driver.host": "driver.example", "spark.driver.bindAddress": "0.0.0.0"},
            ("driver.example", "0.0.0.0"),
        ),
    ],
)
def test_the_addresses_are_those_of_sparks_own_server(
    conf: dict[str, str], expected: tuple[str, str]
) -> None:
    assert driver_addresses(conf.get, default="127.0.0.1") == expected


def test_without_a_setting_or_default_the_driver_has_the_name_of_the_machine() -> None:
    no_settings: dict[str, str] = {}

    assert driver_addresses(no_settings.get) == (socket.gethostname(), socket.gethostname())
