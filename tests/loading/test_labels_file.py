"""Tests for glasses_spark.loading.labels_file."""

from __future__ import annotations

import hashlib

import pytest

from glasses_spark.errors import LabelsError
from glasses_spark.loading.labels_file import (
    MAX_BYTES,
    check_digest,
    check_size,
    parse_labels,
    redact_url,
)
from tests.paths import REAL_LABELS

TEXT = "index,label\n1,0.0\n2,\n3,nan\n4,1.0\n"
LABELS = {1: 0.0, 2: None, 3: None, 4: 1.0}


def parse(text: str | bytes) -> dict[int, float | None]:
    return parse_labels(text.encode() if isinstance(text, str) else text, "labels.csv")


def test_undefined_labels_are_none() -> None:
    assert parse(TEXT) == LABELS


def test_labels_keep_the_order_of_the_file() -> None:
    assert list(parse("index,label\n7,1\n3,0\n5,1\n")) == [7, 3, 5]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("index,label\r\n1,0\r\n2,\r\n3,NaN\r\n4,1\r\n", id="Windows line breaks"),
        pytest.param("\ufeff" + TEXT, id="byte order mark"),
        pytest.param('"index","label"\n"1","0.0"\n2,""\n3,NAN\n"4",1.00\n', id="quotes"),
        pytest.param("index, label\n1, 0.0\n2, \n3, nan\n 4 ,1.\n\n", id="spaces, blank line"),
        pytest.param(
            "index,label\n001,0.0\n002,\n003,nan\n004,1.0", id="leading zeros, no final line break"
        ),
    ],
)
def test_other_spellings_of_the_same_labels_are_read(text: str) -> None:
    assert parse(text) == LABELS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "id,label\n1,0.0\n", "expected the header 'index,label', got 'id,label'", id="header"
        ),
        pytest.param("1,0.0\n2,1.0\n", "got '1,0.0'", id="no header"),
        pytest.param("index,label,more\n1,0.0,x\n", "got 'index,label,more'", id="third column"),
        pytest.param("", "got ''", id="empty file"),
        pytest.param("index,label\n", "no rows below the header", id="no rows"),
        pytest.param(
            "index,label\n1,2.0\n",
            r"1 of 1 rows cannot be used: line 2 '1,2.0' \(label is neither 0 nor 1\)",
            id="third class",
        ),
        pytest.param("index,label\n1,yes\n", "label is neither 0 nor 1", id="label is a word"),
        pytest.param("index,label\n1,0.5\n", "label is neither 0 nor 1", id="label is a fraction"),
        pytest.param("index,label\n,1.0\n", r"line 2 ',1.0' \(no index\)", id="no index"),
        pytest.param("index,label\n,\n", r"line 2 ',' \(no index\)", id="neither"),
        pytest.param("index,label\n1.5,1.0\n", "index is not a whole number", id="fraction"),
        pytest.param("index,label\n-1,1.0\n", "index is not a whole number", id="negative"),
        pytest.param("index,label\n2147483648,1\n", "index above 2147483647", id="too large"),
        pytest.param("index,label\n" + "9" * 5000 + ",1\n", "index above", id="far too large"),
        pytest.param("index,label\n7\n", r"line 2 '7' \(1 fields\)", id="one field"),
        pytest.param("index,label\n7,1,1\n", r"line 2 '7,1,1' \(3 fields\)", id="three fields"),
        pytest.param(
            "index,label\n7,0.0\n8,1\n7,1.0\n", r"line 4 '7,1.0' \(index repeated\)", id="repeated"
        ),
        pytest.param(
            "index,label\n7,0.0\n007,nan\n",
            r"line 3 '007,nan' \(index repeated\)",
            id="repeated, once undefined",
        ),
        pytest.param(
            "index,label\n7,\n7,\n", r"line 3 '7,' \(index repeated\)", id="repeated undefined"
        ),
        pytest.param('index,label\n1,"0\n', "not a CSV file", id="open quote"),
        pytest.param(b"PK\x03\x04\xff\xfe", "not a CSV file in UTF-8", id="another kind of file"),
    ],
)
def test_a_malformed_file_is_rejected_with_its_name(text: str | bytes, message: str) -> None:
    with pytest.raises(LabelsError, match=message) as error:
        parse(text)

    assert str(error.value).startswith("labels.csv: ")


def test_only_three_invalid_rows_are_shown() -> None:
    rows = "".join(f"{index},2.0\n" for index in range(100))

    with pytest.raises(LabelsError, match="100 of 100 rows") as error:
        parse(f"index,label\n{rows}")

    assert str(error.value).count("neither 0 nor 1)") == 3


def test_another_digest_is_rejected_with_both_digests() -> None:
    digest = hashlib.sha256(b"labels").hexdigest()

    check_digest(b"labels", "", name="l.csv")
    check_digest(b"labels", digest.upper(), name="l.csv")
    with pytest.raises(LabelsError, match=f"l.csv: found .* SHA-256 {digest}, wanted {'0' * 64}"):
        check_digest(b"labels", "0" * 64, name="l.csv")


def test_a_file_larger_than_64_mb_is_rejected() -> None:
    check_size(MAX_BYTES, "l.csv")
    with pytest.raises(LabelsError, match=r"l\.csv: larger than 64 MB"):
        check_size(MAX_BYTES + 1, "l.csv")


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://ada:pw@host.test/l.csv?token=secret", "https://host.test/l.csv"),
        ("http://host.test:8080/l.csv#part", "http://host.test:8080/l.csv"),
        ("hdfs://host/l.csv", "hdfs://host/l.csv"),
        ("s3a://key:pw@bucket/l.csv", "s3a://bucket/l.csv"),
        ("abfss://container@account/l.csv", "abfss://container@account/l.csv"),
        ("file:/faces/l.csv", "file:/faces/l.csv"),
        ("what?.csv", "what?.csv"),
    ],
)
def test_passwords_and_the_query_of_a_url_are_not_shown(location: str, shown: str) -> None:
    assert redact_url(location) == shown


@pytest.mark.skipif(not REAL_LABELS.exists(), reason=f"no real labels at {REAL_LABELS}")
def test_the_kaggle_labels_are_2770_with_2193_without_and_37_undefined() -> None:
    labels = list(parse_labels(REAL_LABELS.read_bytes(), "labels.csv").values())

    assert {label: labels.count(label) for label in (1.0, 0.0, None)} == {
        1.0: 2770,
        0.0: 2193,
        None: 37,
    }
