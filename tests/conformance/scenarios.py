"""Scenarios: tiny models that contain the objects of one or several cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from tests.conformance.cases import Case, evaluate
from tests.conformance.compare import Scenario, Scene
from tests.conformance.engine import Array, Rows

# Not a multiple of the batch size: the last batch is smaller.
ROWS: Final = 10

# Shapes of one row, by kind of input.
SHAPES: Final = {
    "vector": (4,),
    "sequence": (5, 4),
    "image": (6, 6, 2),
    "volume": (4, 4, 4, 2),
    "film1d": (3, 5, 2),
    "film2d": (3, 5, 5, 2),
    "film3d": (3, 4, 4, 4, 2),
    "picture": (6, 6, 3),
    "audio": (64,),
    "signal": (64, 1),
    "number": (1,),
    "token": (1,),
    "tokens": (5,),
    "pair": (2,),
    "text": (1,),
}
# Kinds whose inputs first pass through a trained layer, so that gradients flow through the case.
FLOATS: Final = ("vector", "sequence", "image", "volume", "film1d", "film2d", "film3d")
DTYPES: Final = {"token": "int64", "tokens": "int64", "pair": "int64", "text": "string"}

KINDS: Final = {
    "Attention": "sequence",
    "AdditiveAttention": "sequence",
    "MultiHeadAttention": "sequence",
    "GroupQueryAttention": "sequence",
    "BatchNormalization": "sequence",
    "Bidirectional": "sequence",
    "CategoryEncoding": "tokens",
    "Discretization": "number",
    "Dot": "sequence",
    "dot": "sequence",
    "EinsumDense": "sequence",
    "Embedding": "tokens",
    "Flatten": "image",
    "GRU": "sequence",
    "GRUCell": "sequence",
    "GroupNormalization": "sequence",
    "HashedCrossing": "pair",
    "Hashing": "token",
    "IntegerLookup": "token",
    "LSTM": "sequence",
    "LSTMCell": "sequence",
    "LayerNormalization": "sequence",
    "Masking": "sequence",
    "MelSpectrogram": "audio",
    "Normalization": "sequence",
    "PReLU": "sequence",
    "Permute": "sequence",
    "Pipeline": "picture",
    "RMSNormalization": "sequence",
    "RNN": "sequence",
    "Reshape": "sequence",
    "ReversibleEmbedding": "tokens",
    "STFTSpectrogram": "signal",
    "SimpleRNN": "sequence",
    "SimpleRNNCell": "sequence",
    "Softmax": "sequence",
    "StackedRNNCells": "sequence",
    "StringLookup": "text",
    "TextVectorization": "text",
    "TimeDistributed": "sequence",
    "UnitNormalization": "sequence",
    "ConvLSTM1D": "film1d",
    "ConvLSTM2D": "film2d",
    "ConvLSTM3D": "film3d",
    "Concatenate": "sequence",
    "concatenate": "sequence",
}


def group_of(case: Case) -> str:
    """Return the name of the cases that one model can hold."""
    if case.part == "layers":
        # Untraced, TensorFlow has no convolution of this format on a CPU.
        is_apart = "Conv" in case.name and case.argument == "data_format"
        return f"layers.{case.name}" + (" apart" if is_apart else "")
    if case.part in ("activations", "initializers", "regularizers", "constraints"):
        return case.part
    if case.part == "metrics":
        which = "" if case.change != "by name" else " by name"
        return f"metrics on {head_of(case)}{which}"
    return case.id


def scenario(cases: Sequence[Case]) -> Scenario:
    """Return the fit of a model that contains the objects of cases of one group."""
    part = cases[0].part
    if part == "layers" and cases[0].name in ("Input", "InputLayer"):
        return _inputs(cases[0])
    if part in ("layers", "activations", "initializers", "regularizers", "constraints"):
        return _branches(cases)
    return {
        "losses": _loss,
        "metrics": _metrics,
        "optimizers": _optimizer,
        "schedules": _optimizer,
        "callbacks": _callback,
        "compile": _compile,
    }[part](cases)


# Layers and their parts: one model with one branch for each case.


def kind_of(case: Case) -> str:
    """Return the kind of input that a case takes."""
    if case.part != "layers":
        return "vector"
    module = case.target().__module__
    if case.name in KINDS:
        return KINDS[case.name]
    if "image_preprocessing" in module:
        return "picture"
    for ending, kind in (("1D", "sequence"), ("2D", "image"), ("3D", "volume")):
        if case.name.removesuffix("Transpose").endswith(ending):
            return kind
    return "vector"


def _branches(cases: Sequence[Case]) -> Scenario:
    kind = kind_of(cases[0])

    def model(scene: Scene) -> Any:
        import keras
        from keras import layers

        x = keras.Input(SHAPES[kind], dtype=DTYPES.get(kind, "float32"))
        logits = [_logit(case, scene, x, kind) for case in cases]
        mean = layers.Average()(logits) if len(logits) > 1 else logits[0]
        built = keras.Model(x, layers.Activation("sigmoid")(mean))
        built.compile(keras.optimizers.SGD(0.1), "binary_crossentropy")
        return built

    return Scenario(model, Rows(features(kind), _binary()), epochs=1)


def _logit(case: Case, scene: Scene, x: Any, kind: str) -> Any:
    from keras import layers

    if kind in FLOATS and case.name != "Masking":
        x = layers.Dense(SHAPES[kind][-1])(x)
    outputs = _call(case, scene, x)
    parts = []
    for output in _tensors(outputs):
        if "float" not in output.dtype:
            output = layers.Rescaling(0.1)(output)
        elif kind in ("picture", "audio", "signal"):
            output = layers.Rescaling(0.01)(output)
        if len(output.shape) == 1:
            output = layers.Reshape((1,))(output)
        parts.append(layers.Flatten()(output) if len(output.shape) > 2 else output)
    joined = layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    return layers.Dense(1)(joined)


def _tensors(outputs: Any) -> list[Any]:
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def _call(case: Case, scene: Scene, x: Any) -> Any:
    from keras import layers

    if case.part == "activations":
        activation = case.name if case.change == "by name" else case.target()
        return layers.Dense(4, activation=activation)(x)
    if case.part == "initializers":
        return layers.Dense(4, kernel_initializer=case.make(scene))(x)
    if case.part == "regularizers":
        return layers.Dense(4, kernel_regularizer=case.make(scene))(x)
    if case.part == "constraints":
        return layers.Dense(4, kernel_constraint=case.make(scene))(x)
    if case.name == case.name.lower():
        return case.target()([x, layers.Dense(x.shape[-1])(x)], **case.values(scene))
    layer = case.make(scene)
    if case.name.endswith(("Cell", "Cells")):
        return layers.RNN(layer)(x)
    if case.target().__module__.startswith("keras.src.layers.merging"):
        return layer([x, layers.Dense(x.shape[-1])(x)])
    if case.name in ("Attention", "AdditiveAttention"):
        return layer([x, layers.Dense(x.shape[-1])(x)])
    if case.name in ("MultiHeadAttention", "GroupQueryAttention"):
        return layer(x, layers.Dense(x.shape[-1])(x))
    if case.name == "HashedCrossing":
        return layer((x[:, :1], x[:, 1:]))
    if case.name in ("Masking", "Embedding", "ReversibleEmbedding"):
        return layers.LSTM(2)(layer(x))
    if kind_of(case) == "picture" and case.argument == "data_format":
        x = layers.Permute((3, 1, 2))(x)
    if _takes_data(case):
        layer.adapt(features(kind_of(case)))
    return layer(x)


def _takes_data(case: Case) -> bool:
    given = ("vocabulary", "mean", "bin_boundaries")
    return hasattr(case.target(), "adapt") and not any(name in case.arguments for name in given)


def _inputs(case: Case) -> Scenario:
    shape = (2, 2) if "(2, 2)" in case.change else (4,)

    def model(scene: Scene) -> Any:
        import keras
        from keras import layers

        it = case.make(scene)
        stack = [layers.Flatten(), layers.Dense(3, "tanh"), layers.Dense(1, "sigmoid")]
        built = keras.Sequential([it, *stack])
        built.compile(keras.optimizers.SGD(0.5), "binary_crossentropy")
        return built

    x = _draw().normal(size=(ROWS, *shape)).astype("float32")
    return Scenario(model, Rows(x, _binary()))


def features(kind: str) -> Array:
    """Draw the features of a kind, ``(rows, *shape)``."""
    draw, shape = _draw(), (ROWS, *SHAPES[kind])
    if kind == "text":
        return draw.choice(["a", "b b", "c A", "d"], size=shape).astype(object)
    if "int" in DTYPES.get(kind, ""):
        return draw.integers(0, 6, size=shape)
    if kind == "picture":
        return draw.uniform(0, 255, size=shape).astype("float32")
    x = draw.normal(size=shape).astype("float32")
    if kind == "sequence":
        x[:, 3:] *= draw.integers(0, 2, size=(ROWS, 1, 1))  # rows with masked steps
    return x


def _draw() -> np.random.Generator:
    return np.random.default_rng(3)


def _binary() -> Array:
    return np.arange(ROWS).reshape(-1, 1) % 3 % 2 * np.float32(1)


# Losses and metrics: the last layer and the labels that they are made for.

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


def _head(kind: str) -> tuple[list[Any], Array]:
    """Return the last layers, and the labels."""
    import keras
    from keras import layers

    draw = _draw()
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
        return [layers.Dense(1, None if "logits" in kind else "sigmoid")], _binary()
    if word == "signed":
        return [layers.Dense(1, "tanh")], _binary() * 2 - 1
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
        return [keras.layers.Dense(1)], _binary()
    labels = draw.uniform(0.1, 1, size=(ROWS, 3)).astype("float32")
    return [layers.Dense(3, activation)], labels


def _stack(head: Sequence[Any]) -> Any:
    import keras
    from keras import layers

    return keras.Sequential([keras.Input((4,)), layers.Dense(3, "tanh"), *head])


def _loss(cases: Sequence[Case]) -> Scenario:
    [case] = cases
    kind = head_of(case)

    def model(scene: Scene) -> Any:
        import keras

        built = _stack(_head(kind)[0])
        if case.change == "by name":
            loss = case.name
        elif case.name == case.name.lower():
            loss = case.target()
        else:
            loss = case.make(scene)
        # A percentage is a hundred times as steep as other losses.
        rate = 0.001 if "percentage" in case.name.lower() else 0.1
        built.compile(keras.optimizers.SGD(rate), loss)
        return built

    return Scenario(model, Rows(features("vector"), _head(kind)[1]), epochs=1)


def _metrics(cases: Sequence[Case]) -> Scenario:
    kind = head_of(cases[0])

    def model(scene: Scene) -> Any:
        import keras

        built = _stack(_head(kind)[0])
        loss: Any = keras.losses.MeanSquaredError()
        if kind in ("classes to number", "sparse in a table"):
            loss = _size_of_output  # takes labels of another shape than the output
        elif kind.startswith("sparse"):
            loss = "sparse_categorical_crossentropy"
        metrics = [_metric(case, scene) for case in cases]
        built.compile(keras.optimizers.SGD(0.5), loss, metrics=metrics)
        return built

    return Scenario(model, Rows(features("vector"), _head(kind)[1]))


def _size_of_output(y_true: Any, y_pred: Any) -> Any:
    import keras

    return keras.ops.mean(keras.ops.square(y_pred - 1))


def metric_name(case: Case) -> str:
    """Return the name of a metric in the history; empty for the name that Keras gives it."""
    if not case.change or case.argument == "name" or case.change == "by name":
        return ""
    return f"{case.name}.{case.argument}"


def _metric(case: Case, scene: Scene) -> Any:
    if case.change == "by name":
        return case.name
    if case.name == case.name.lower():
        return case.target()
    values = case.values(scene)
    if metric_name(case):
        values["name"] = metric_name(case)
    elif case.argument == "name":
        values["name"] = f"another {case.name}"
    return case.target()(**values)


# Optimizers, schedules, callbacks and the arguments of compile.


def _optimizer(cases: Sequence[Case]) -> Scenario:
    [case] = cases

    def model(scene: Scene) -> Any:
        import keras

        it = case.make(scene)
        built = _stack(_head("binary")[0])
        optimizer = it if case.part == "optimizers" else keras.optimizers.SGD(it)
        built.compile(optimizer, "binary_crossentropy")
        return built

    return Scenario(model, Rows(features("vector"), _binary()))


def _callback(cases: Sequence[Case]) -> Scenario:
    [case] = cases

    def model(scene: Scene) -> Any:
        import keras

        built = _stack(_head("binary")[0])
        optimizer = keras.optimizers.SGD(0.5, use_ema=case.name == "SwapEMAWeights")
        built.compile(optimizer, "binary_crossentropy", metrics=["mae"])
        return built

    def callbacks(scene: Scene) -> list[Any]:
        return [case.make(scene)]

    return Scenario(model, Rows(features("vector"), _binary()), callbacks, epochs=4)


def _compile(cases: Sequence[Case]) -> Scenario:
    [case] = cases

    def model(scene: Scene) -> Any:
        built = _stack(_head("numbers")[0])
        built.compile(**{name: evaluate(text, scene) for name, text in case.arguments.items()})
        return built

    # Whole batches, and an even number of them: steps_per_execution=2 would take a batch of the
    # next epoch from the generator that plain Keras gets.
    rows = Rows(features("vector")[:8], _head("numbers")[1][:8])
    return Scenario(model, rows, eager=False)
