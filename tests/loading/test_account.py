"""Tests for glasses_spark.loading.account."""

from __future__ import annotations

import logging

import pytest

from glasses_spark.loading.account import Account, log_account


def test_every_count_of_images_left_out_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    account = Account(
        images=12,
        labels=20,
        used=2,
        undefined_label=1,
        unlabelled=6,
        unnumbered=2,
        beyond_limit=3,
        label_without_image=1,
        undefined_label_names=("3.png",),
        unlabelled_names=("4.png", "5.png"),
        label_without_image_ids=(500,),
    )

    with caplog.at_level(logging.INFO, logger="glasses_spark"):
        log_account(account)

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "12 images, 20 labels: 2 images used"),
        ("INFO", "1 images left out because their label is undefined: 3.png"),
        (
            "WARNING",
            "6 images left out because the labels file has no row for them (2 have no usable "
            "number in their name): 4.png, 5.png, ...",
        ),
        ("WARNING", "1 labels have no image: index 500"),
        ("INFO", "3 images left out because of data.limit"),
    ]


def test_only_the_totals_are_logged_if_nothing_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, logger="glasses_spark"):
        log_account(Account(2, 2, 2, 0, 0, 0, 0, 0))

    assert [record.getMessage() for record in caplog.records] == [
        "2 images, 2 labels: 2 images used"
    ]
