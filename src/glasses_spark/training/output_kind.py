"""Output kind: what a trained model predicts, from its loss and its last activation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from glasses_spark.runtime.elephas import LossModelTypeMapper, ModelType
from glasses_spark.runtime.keras import import_keras
from glasses_spark.scoring.prediction_kind import (
    LOGITS,
    NUMBERS,
    PROBABILITIES,
    SOFTMAX,
    PredictionKind,
    describe_shape,
    kind_without_loss,
    last_activation,
    output_size,
)

# The loss functions of Keras by what they compare with the labels; a test lists them all.
REGRESSION: Final = frozenset(
    {
        "cosine_similarity",
        "huber",
        "log_cosh",
        "mean_absolute_error",
        "mean_absolute_percentage_error",
        "mean_squared_error",
        "mean_squared_logarithmic_error",
        "poisson",
    }
)
# One probability for each output.
BINARY: Final = frozenset({"binary_crossentropy", "binary_focal_crossentropy"})
# One probability for each class.
CLASSES: Final = frozenset(
    {
        "categorical_crossentropy",
        "categorical_focal_crossentropy",
        "categorical_generalized_cross_entropy",
        "sparse_categorical_crossentropy",
    }
)
# Probabilities of either form.
DISTRIBUTIONS: Final = frozenset({"dice", "kl_divergence", "tversky"})
# Margins, embeddings and sequences.
OTHERS: Final = frozenset({"categorical_hinge", "circle", "ctc", "hinge", "squared_hinge"})
KERAS_LOSSES: Final = REGRESSION | BINARY | CLASSES | DISTRIBUTIONS | OTHERS
# Labels are class numbers.
CLASS_NUMBERS: Final = frozenset(
    {"categorical_generalized_cross_entropy", "circle", "sparse_categorical_crossentropy"}
)


def output_kinds(model: Any, losses: Sequence[Any]) -> list[PredictionKind]:
    """Return what the predictions of each output of a model mean.

    Args:
        model: Built Keras model.
        losses: Loss of each output; None for an output without.
    """
    return [
        kind_without_loss(model, output, regression=False)
        if loss is None
        else output_kind(model, loss, output)
        for output, loss in enumerate(losses)
    ]


def output_kind(model: Any, loss: Any, output: int = 0) -> PredictionKind:
    """Return what the predictions of an output of a model mean.

    The loss decides, if it is one of Keras: its name, its serialized form, its object or its
    function. Elephas' ``LossModelTypeMapper.register_loss`` decides on other losses, then the
    model's last activation.

    Args:
        model: Built Keras model.
        loss: Loss of the output.
        output: Position of the output in ``model.outputs``.
    """
    return PredictionKind(_kind(model, loss, output), output_size(model, output))


def _kind(model: Any, loss: Any, output: int) -> str:
    name, from_logits = loss_function(loss)
    if name in REGRESSION:
        return NUMBERS
    if name in OTHERS:
        return f"outputs of the loss {name}"
    activation, size = last_activation(model, output), output_size(model, output)
    registered = None
    if name not in BINARY | CLASSES | DISTRIBUTIONS:
        registered = LossModelTypeMapper().get_model_type(name)
        if registered == ModelType.REGRESSION:
            return NUMBERS
        if not activation:
            is_number = size == 1 and not from_logits and registered is None
            return NUMBERS if is_number else f"outputs of the loss {name}"
    if shape := describe_shape(model, output):
        return shape
    if from_logits and activation:
        # Keras takes them for logits in some losses, and for probabilities in others.
        return f"{activation} outputs of the loss {name} with from_logits=True"
    if name in BINARY and size != 1 and activation != SOFTMAX:
        return f"{size} independent outputs of the loss {name}"
    if name in CLASSES and size == 1:
        return f"one output of the loss {name}"
    return LOGITS if from_logits else PROBABILITIES


def loss_function(loss: Any) -> tuple[str, bool]:
    """Return the name of a loss function, and whether the outputs are logits to it.

    Functions of Keras have names of their own; the name of another loss begins with its module
    if it has the name of a Keras function.
    """
    if isinstance(loss, str | Mapping):
        named = loss
        try:
            loss = _read_loss(loss)
        except (TypeError, ValueError):
            # A loss of the user's own, which only the workers' code can build.
            return _written_name(named), False
    arguments: Mapping[str, Any] = {}
    if isinstance(loss, partial):
        loss, arguments = loss.func, loss.keywords
    function = getattr(loss, "fn", loss)
    from_logits = arguments.get("from_logits", getattr(loss, "from_logits", None))
    if from_logits is None:
        from_logits = getattr(loss, "_fn_kwargs", {}).get("from_logits", False)
    name = getattr(function, "__name__", None) or type(function).__name__
    is_of_keras = str(getattr(function, "__module__", "")).startswith("keras.")
    if not is_of_keras and name in KERAS_LOSSES:
        name = f"{getattr(function, '__module__', '')}.{name}"
    return name, bool(from_logits)


def _read_loss(loss: str | Mapping[str, Any]) -> Any:
    keras = import_keras()
    if isinstance(loss, str):
        return keras.losses.get(loss)
    try:
        return keras.losses.get(dict(loss))
    except (TypeError, ValueError):
        # `get` does not know all classes of Keras.
        return keras.saving.deserialize_keras_object(dict(loss))


def _written_name(loss: str | Mapping[str, Any]) -> str:
    if isinstance(loss, str):
        return loss
    name = loss.get("config") if loss.get("class_name") == "function" else loss.get("class_name")
    return str(name)
