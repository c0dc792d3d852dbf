"""Heads: the last layers and the labels that losses and metrics are made for."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from tests.conformance.cases import Case
from tests.conformance.engine import Array
from tests.conformance.inputs import ROWS, binary_labels, draw_numbers

HEADS: Final = {
    "BinaryAccuracy": "binary",
    "BinaryIoU": "binary",
    "CTC": "ctc",
    "CategoricalGeneralizedCrossEntropy": "sparse",
    "Circle": "embedding",
    "Hinge": "signed",
    "KLDivergence": "classes",
    "F1Score": "classes",
    "FBetaScore": "classes",
    "Dice": "classes",
    "Tversky": "classes",
    "IoU": "sparse",
    "MeanIoU": "sparse",
    "MeanSquaredLogarithmicError": "positive",
    "OneHotIoU": "classes",
    "OneHotMeanIoU": "classes",
    "Poisson": "positive",
    "SquaredHinge": "signed",
    "TopKCategoricalAccuracy": "classes",
    "AUC": "binary",
    "Precision": "binary",
    "Recall": "binary",
    "FalseNegatives": "binary",
    "FalsePositives": "binary",
    "TrueNegatives": "binary",
    "TruePositives": "binary",
    "PrecisionAtRecall": "binary",
    "RecallAtPrecision": "binary",
    "SensitivityAtSpecificity": "binary",
    "SpecificityAtSensitivity": "binary",
    "Accuracy": "number",
    "ctc": "ctc",
    "circle": "embedding",
    "hinge": "signed",
    "squared_hinge": "signed",
    "kl_divergence": "classes",
    "dice": "classes",
    "tversky": "classes",
    "mean_squared_logarithmic_error": "positive",
    "poisson": "positive",
    "top_k_categorical_accuracy": "classes",
    "accuracy": "number",
    "Mean": "number",
    "Sum": "number",
    # One argument may need another head.
    "Precision.top_k": "classes",
    "Precision.class_id": "classes",
    "Recall.top_k": "classes",
    "Recall.class_id": "classes",
    "AUC.multi_label": "classes",
    "AUC.num_labels": "classes",
    "AUC.label_weights": "classes",
    "AUC.from_logits": "binary logits",
    "PrecisionAtRecall.class_id": "classes",
    "RecallAtPrecision.class_id": "classes",
    "SensitivityAtSpecificity.class_id": "classes",
    "SpecificityAtSensitivity.class_id": "classes",
    "R2Score.num_regressors": "number",
    "IoU.sparse_y_true": "classes",
    "MeanIoU.sparse_y_true": "classes",
    "IoU.sparse_y_pred": "number",
    "MeanIoU.sparse_y_pred": "number",
    "OneHotIoU.sparse_y_pred": "classes to number",
    "OneHotMeanIoU.sparse_y_pred": "classes to number",
    "IoU.num_classes": "sparse of 4",
    "MeanIoU.num_classes": "sparse of 4",
    "OneHotIoU.num_classes": "classes of 4",
    "OneHotMeanIoU.num_classes": "classes of 4",
}


def head_of(case: Case) -> str:
    """Return the kind of output and labels that a loss or metric takes."""
    specific = HEADS.get(f"{case.name}.{case.argument}")
    if specific:
        return specific
    name = case.name.lower().replace("_", "")
    head = HEADS.get(case.name)
    if head is None:
        head = "numbers"
        for word in ("sparse", "categorical", "binary"):
            if name.startswith(word):
                head = {"sparse": "sparse", "categorical": "classes", "binary": "binary"}[word]
        if "topk" in name and head == "numbers":
            head = "classes"
    if case.argument == "from_logits":
        return f"{head} logits"
    if case.argument == "axis":
        return f"{head} in a table"
    return head


def make_head(kind: str) -> tuple[list[Any], Array]:
    """Return new last layers, and the labels."""
    import keras
    from keras import layers

    draw = draw_numbers()
    one_hot = np.eye(3, dtype="float32")
    classes = np.arange(ROWS) % 3
    activations = {"classes": "softmax", "sparse": "softmax", "positive": "softplus"}
    word = kind.split()[0]
    activation = None if kind.endswith("logits") else activations.get(word)
    if kind.endswith("in a table"):
        table = [layers.Dense(6), layers.Reshape((2, 3))]
        if activation:
            table.append(layers.Softmax(axis=1))
        if word == "sparse":
            return table, draw.integers(0, 2, size=(ROWS, 3))
        labels = draw.uniform(0.1, 1, size=(ROWS, 2, 3)).astype("float32")
        if word in ("classes", "binary"):
            labels = (labels == labels.max(axis=1, keepdims=True)).astype("float32")
        if word == "binary":
            table.append(layers.Activation("sigmoid"))
        return table, labels
    if kind == "sparse of 4":
        return [layers.Dense(4, "softmax")], (np.arange(ROWS) % 4).reshape(-1, 1)
    if kind == "classes of 4":
        return [layers.Dense(4, "softmax")], np.eye(4, dtype="float32")[np.arange(ROWS) % 4]
    if kind == "classes to number":
        return [layers.Dense(1)], one_hot[classes]
    if word == "binary":
        return [layers.Dense(1, None if "logits" in kind else "sigmoid")], binary_labels()
    if word == "signed":
        return [layers.Dense(1, "tanh")], binary_labels() * 2 - 1
    if word == "classes":
        return [layers.Dense(3, activation)], one_hot[classes]
    if word == "sparse":
        return [layers.Dense(3, activation)], classes.reshape(-1, 1)
    if word == "embedding":
        return [layers.Dense(3), layers.UnitNormalization()], classes.reshape(-1, 1)
    if word == "ctc":
        stack = [layers.Dense(20), layers.Reshape((5, 4))]
        return stack, draw.integers(1, 4, size=(ROWS, 2))
    if word == "number":
        return [keras.layers.Dense(1)], binary_labels()
    labels = draw.uniform(0.1, 1, size=(ROWS, 3)).astype("float32")
    return [layers.Dense(3, activation)], labels
