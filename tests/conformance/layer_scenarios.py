"""Layer scenarios: one model with a branch for each case of a layer or of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tests.conformance.cases import Case
from tests.conformance.compare import Scenario, Scene
from tests.conformance.engine import Rows
from tests.conformance.inputs import (
    DTYPES,
    FEW_ROWS,
    ROWS,
    SHAPES,
    binary_labels,
    draw_numbers,
    features,
)

# Kinds whose inputs first pass through a trained layer, so that gradients flow through the case.
FLOATS: Final = ("vector", "sequence", "image", "volume", "film1d", "film2d", "film3d")

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


def kind_of(case: Case) -> str:
    """Return the kind of input that a case takes, a key of `SHAPES`."""
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


def branches(cases: Sequence[Case]) -> Scenario:
    """Return the fit of a model with one branch for each case."""
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

    rows = Rows(features(kind)[:FEW_ROWS], binary_labels()[:FEW_ROWS])
    return Scenario(model, rows, epochs=1)


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
        if case.name == "RandomCrop":
            # It crops in training alone.
            order = "channels_first" if case.argument == "data_format" else None
            output = layers.GlobalAveragePooling2D(data_format=order)(output)
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
    if case.part == "initializers" and case.name == "STFT":
        kernel = case.make(scene)
        return layers.Conv1D(3, 4, kernel_initializer=kernel)(layers.Reshape((4, 1))(x))
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
    if kind_of(case) == "signal" and case.argument == "data_format":
        x = layers.Permute((2, 1))(x)
    if _takes_data(case):
        layer.adapt(features(kind_of(case)))
    return layer(x)


def _takes_data(case: Case) -> bool:
    given = ("vocabulary", "mean", "bin_boundaries")
    return hasattr(case.target(), "adapt") and not any(name in case.arguments for name in given)


def inputs(case: Case) -> Scenario:
    """Return the fit of a model that begins with a case of an input."""
    shape = (2, 2) if "(2, 2)" in case.change else (4,)

    def model(scene: Scene) -> Any:
        import keras
        from keras import layers

        it = case.make(scene)
        stack = [layers.Flatten(), layers.Dense(3, "tanh"), layers.Dense(1, "sigmoid")]
        built = keras.Sequential([it, *stack])
        built.compile(keras.optimizers.SGD(0.5), "binary_crossentropy")
        return built

    x = draw_numbers().normal(size=(ROWS, *shape)).astype("float32")
    return Scenario(model, Rows(x, binary_labels()))
