"""Tests for glasses_spark.scoring.layer_table."""

from __future__ import annotations

import json

from glasses_spark.scoring.layer_table import layer_rows


def test_each_layer_has_a_row_with_its_settings() -> None:
    config = {
        "config": {
            "layers": [
                {
                    "class_name": "InputLayer",
                    "config": {"name": "image", "batch_shape": [None, 128, 128, 1]},
                },
                {
                    "class_name": "Conv2D",
                    "config": {
                        "name": "conv",
                        "filters": 8,
                        "kernel_size": [3, 3],
                        "activation": "relu",
                    },
                },
                {"class_name": "Dropout", "config": {"name": "drop", "rate": 0.25}},
                {
                    "class_name": "Dense",
                    "config": {"name": "out", "units": 1, "activation": "linear"},
                },
                {"class_name": "Custom"},
            ]
        }
    }
    assert layer_rows(json.dumps(config)) == [
        ["image", "InputLayer", "128 x 128 x 1"],
        ["conv", "Conv2D", "8 filters, 3 x 3, relu"],
        ["drop", "Dropout", "rate 0.25"],
        ["out", "Dense", "1 unit"],
        ["", "Custom", ""],
    ]


def test_an_architecture_without_a_list_of_layers_has_no_rows() -> None:
    assert layer_rows("{}") == []
    assert layer_rows('{"config": []}') == []
