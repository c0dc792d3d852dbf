"""Pair fields: what a model expects in the rows of an RDD of features and labels."""

from __future__ import annotations

from typing import Any

from glasses_spark.columns import FEATURES, LABEL
from glasses_spark.scoring.features import transfer_dtype
from glasses_spark.scoring.model_ports import input_ports, output_names
from glasses_spark.training.metric_states import label_shape
from glasses_spark.training.output_settings import label_size, losses_by_output
from glasses_spark.training.pair_rows import PairField
from glasses_spark.training.worker.spool import numbered


def feature_fields(network: Any) -> list[PairField]:
    """Return the features of each input of a Keras model."""
    ports = input_ports(network.to_json())
    return [
        PairField(
            numbered(FEATURES, number),
            port.name,
            f"features of the input {port.name!r}" if len(ports) > 1 else "features",
            transfer_dtype(port.dtype),
            tuple(tensor.shape[1:]),
        )
        for number, (port, tensor) in enumerate(zip(ports, network.inputs, strict=True))
    ]


def label_fields(network: Any, loss: Any, *, as_classes: bool = False) -> list[PairField]:
    """Return the labels of each output that has a loss.

    Args:
        network: Built Keras model.
        loss: A loss, or a list or mapping of one for each output.
        as_classes: Whether the label of a row is a class number, to be encoded as one-hot row.
    """
    names = output_names(network.to_json())
    fields = []
    for number, (name, part) in enumerate(zip(names, losses_by_output(loss, names), strict=True)):
        if part is None:
            continue
        output = tuple(network.outputs[number].shape[1:])
        size = 1 if as_classes else label_size(part, output)
        shape = (None,) if size is None else label_shape(size, output)
        fields.append(
            PairField(
                numbered(LABEL, number),
                name,
                f"labels of the output {name!r}" if len(names) > 1 else "labels",
                "float64",
                shape,
                is_number=size == 1,
            )
        )
    return fields
