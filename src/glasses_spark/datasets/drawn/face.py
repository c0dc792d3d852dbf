"""Drawing of one face, with or without glasses, from OpenCV shapes.

Lengths are in face units: the origin lies between the height of the eyes and the nose, x
points right, y down, the chin is near (0, 1). A head is about 1.4 units wide.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np

from glasses_spark.datasets.drawn.canvas import Canvas, Image, curve, jitter, mix, oval
from glasses_spark.datasets.drawn.features import draw_features, draw_front_hair
from glasses_spark.datasets.drawn.glasses import (
    RIMS,
    GlassesFrame,
    draw_doubtful_glasses,
    draw_glasses,
)
from glasses_spark.datasets.drawn.sitter import CLOTHES, Generators, Sitter
from glasses_spark.errors import ConfigError

# Sizes in pixels. Below 64 a thin rim is not visible.
SMALLEST: Final = 64
LARGEST: Final = 1024


def draw_face(index: int, label: float | None, *, size: int, seed: int) -> Image:
    """Draw one face.

    The label affects only the glasses: with the same index, size and seed, two images with
    different labels are equal outside the glasses and their shadow.

    Args:
        index: Number of the face, at least 0.
        label: 1.0 with glasses, 0.0 without; None or NaN for an ambiguous face: glasses
            pushed up into the hair, behind a strand of hair, or rimless.
        size: Height and width in pixels, 64 to 1024. All sizes show the same face.
        seed: Seed of the set of drawings, at least 0.

    Returns:
        The image, uint8 RGB of shape (size, size, 3). It depends only on the arguments and
        on the versions of OpenCV and NumPy.

    Raises:
        ConfigError: The size, the seed or the index is out of range, or the label is none of
            the above.
    """
    if not SMALLEST <= size <= LARGEST:
        raise ConfigError(f"size is {size} px: expected {SMALLEST} to {LARGEST}")
    if seed < 0 or index < 0:
        raise ConfigError(f"seed is {seed} and index {index}: expected both to be 0 or more")
    undefined = label is None or math.isnan(label)
    if not undefined and label not in (0.0, 1.0):
        raise ConfigError(f"label is {label}: expected 0.0, 1.0, or None (undefined)")

    generators = Generators(seed, index)
    sitter = Sitter.random(generators.of("sitter"))
    # Twice the default size of 256 px, so that thin rims keep their thickness at any size.
    canvas = Canvas.posed(max(512, size), generators.of("pose"))
    _background(canvas, generators.of("background"))
    _body(canvas, sitter, generators.of("body"))
    _head(canvas, sitter)
    _shade(canvas, sitter, generators.of("shade"))
    draw_features(canvas, sitter, generators.of("features"))
    if label == 1.0:
        draw_glasses(canvas, GlassesFrame.random(generators.of("glasses"), sitter), sitter)
    draw_front_hair(canvas, sitter, generators.of("front hair"))
    if undefined:
        draw_doubtful_glasses(canvas, sitter, generators.of("glasses"))
    return _photograph(canvas.image, size, generators.of("light"))


def _background(canvas: Canvas, rng: np.random.Generator) -> None:
    coarse = rng.uniform(0, 1, (3, 3, 1)) * rng.uniform(15, 45) + rng.uniform(14, 84)
    coarse = coarse + rng.uniform(-16, 16, 3) + rng.uniform(-10, 10, (3, 3, 3))
    side = canvas.image.shape[0]
    small = cv2.resize(
        np.clip(coarse, 0, 255).astype(np.float32), (48, 48), interpolation=cv2.INTER_CUBIC
    )
    for _ in range(rng.integers(0, 5)):  # lights and furniture out of focus
        at, reach = rng.integers(0, 48, 2), int(rng.integers(3, 10))
        cv2.circle(
            small,
            at.tolist(),
            reach,
            (np.clip(small.mean((0, 1)) + rng.uniform(-30, 45), 0, 255)).tolist(),
            -1,
        )
    small = cv2.GaussianBlur(small, (0, 0), 1.6)
    small = np.clip(small, 0, 255).astype(np.uint8)
    cv2.resize(small, (side, side), dst=canvas.image, interpolation=cv2.INTER_LINEAR)


def _body(canvas: Canvas, sitter: Sitter, rng: np.random.Generator) -> None:
    """Draw the hair behind the head, shoulders, neck, ears, scarf and earrings."""
    if sitter.hair_style == "long":
        reach = rng.uniform(0.9, 1.5)
        canvas.fill(
            np.concatenate(
                [
                    sitter.outline(0.14)[36:],
                    curve((0.98, 0.1), (1.05, reach), (0.5, reach)),
                    curve((-0.5, reach), (-1.05, reach), (-0.98, 0.1)),
                ]
            ),
            mix(sitter.hair, (0, 0, 0), 0.25),
        )
    if sitter.hair_style == "curly":
        for angle in np.linspace(math.pi * 0.95, math.pi * 2.05, 15):
            radius = rng.uniform(0.2, 0.28)
            at = (sitter.width + 0.05) * math.cos(angle), 0.95 * math.sin(angle)
            canvas.fill(oval(*at, radius, radius), jitter(sitter.hair, rng, 8))
    cloth = jitter(CLOTHES[rng.integers(len(CLOTHES))], rng, 20)
    neck = rng.uniform(0.36, 0.44)
    canvas.fill(
        np.array([[-neck, 0.4], [neck, 0.4], [neck, 1.6], [-neck, 1.6]]),
        mix(sitter.skin, (40, 20, 20), 0.22),
    )
    shoulders = rng.uniform(1.15, 1.5)
    canvas.fill(
        np.concatenate(
            [
                curve((-shoulders, 2.4), (-shoulders, 1.35), (-neck, 1.22)),
                curve((-neck, 1.22), (0, rng.uniform(1.35, 1.75)), (neck, 1.22)),
                curve((neck, 1.22), (shoulders, 1.35), (shoulders, 2.4)),
            ]
        ),
        cloth,
    )
    if rng.random() < 0.25:  # a scarf
        scarf = jitter(CLOTHES[rng.integers(len(CLOTHES))], rng, 25)
        top = rng.uniform(0.92, 1.1)
        canvas.fill(oval(0, top + 0.24, 0.62, 0.24), scarf)
        for x in np.linspace(-0.5, 0.5, 5):
            canvas.stroke(
                curve((x - 0.06, top + 0.04), (x, top + 0.25), (x + 0.08, top + 0.44)),
                mix(scarf, (0, 0, 0), 0.3),
                0.025,
            )
    earrings = rng.random() < 0.25
    metal = RIMS[5 + int(rng.integers(3))]
    for side in (-1, 1):
        ear = side * (sitter.width + 0.02)
        canvas.fill(oval(ear, 0.02, 0.1, 0.2), mix(sitter.skin, (60, 20, 20), 0.12))
        canvas.stroke(
            curve((ear, -0.12), (ear + side * 0.06, 0.0), (ear, 0.12)),
            mix(sitter.skin, (60, 20, 20), 0.4),
            0.02,
        )
        if earrings:
            canvas.stroke(oval(ear, 0.3, 0.06, 0.09), metal, 0.03, closed=True)


def _head(canvas: Canvas, sitter: Sitter) -> None:
    canvas.fill(sitter.outline(), sitter.skin)


def _shade(canvas: Canvas, sitter: Sitter, rng: np.random.Generator) -> None:
    """Multiply soft shadows into the skin, some of them at the positions of frames."""
    shade = canvas.layer(4, 255)
    side = rng.choice([-1, 1])
    for step in range(4):  # the side away from the light
        edge = curve((side * 0.95, -1.1), (side * (0.1 + 0.16 * step), 0), (side * 0.9, 1.2))
        outer = np.array([[side * 2.0, 1.2], [side * 2.0, -1.1]])
        shade.fill(
            np.concatenate([edge, outer]), int(255 * (1 - (step + 1) * rng.uniform(0.01, 0.06)))
        )
    sockets = int(rng.uniform(175, 245))
    hollow = rng.uniform(0.9, 1.5)
    for eye in (-1, 1):
        x = eye * sitter.eye_x
        shade.fill(oval(x, sitter.eye_y - 0.04, 0.17 * hollow, 0.12 * hollow), sockets)
        if rng.random() < 0.3:  # rings under tired eyes
            shade.stroke(
                curve(
                    (x - 0.18, sitter.eye_y + 0.06),
                    (x, sitter.eye_y + 0.26),
                    (x + 0.18, sitter.eye_y + 0.06),
                ),
                int(rng.uniform(130, 200)),
                0.05,
            )
    if rng.random() < 0.3:  # the shade of a branch, a blind, a brim
        y, tilt, deep = rng.uniform(-0.5, 0.3), rng.uniform(-0.15, 0.15), rng.uniform(0.08, 0.25)
        shade.fill(
            np.array([[-1, y - tilt], [1, y + tilt], [1, y + tilt + deep], [-1, y - tilt + deep]]),
            int(rng.uniform(150, 205)),
        )
    nose = side * rng.uniform(0.04, 0.09)
    shade.fill(
        np.array([[nose * 0.4, -0.05], [nose * 2.2, 0.33], [0, 0.36]]), int(rng.uniform(190, 230))
    )
    shade.fill(oval(0, 0.72, 0.15, 0.03), 225)
    soft = cv2.GaussianBlur(shade.image, (0, 0), shade.unit * 0.045)
    inside = canvas.layer(4, 0)
    inside.fill(sitter.outline(), 255)
    soft = np.maximum(soft, 255 - inside.image)
    soft = cv2.resize(soft, canvas.image.shape[:2], interpolation=cv2.INTER_LINEAR)
    cv2.multiply(canvas.image, cv2.merge([soft, soft, soft]), dst=canvas.image, scale=1 / 255)


def _photograph(image: Image, size: int, rng: np.random.Generator) -> Image:
    """Apply light, blur and film grain."""
    if image.shape[0] != size:
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    blur = rng.uniform(0.0, 1.0) * size / 256
    if blur > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    across, down, level = rng.normal(0, 0.1), rng.normal(0, 0.1), rng.uniform(0.85, 1.1)
    tone, coarse = rng.uniform(-12, 12, 3), rng.uniform(1, 5)
    ramp = np.linspace(-1, 1, size)
    light = (level + across * ramp[None] + down * ramp[:, None]).astype(np.float32)
    # Drawn last, because the number of random values depends on the size.
    grain = rng.standard_normal((size, size), dtype=np.float32) * np.float32(coarse)
    lit = image * light[..., None] + (grain[..., None] + tone.astype(np.float32))
    developed: Image = np.clip(np.rint(lit), 0, 255).astype(np.uint8)
    return developed
