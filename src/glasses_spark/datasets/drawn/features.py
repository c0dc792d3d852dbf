"""Drawings of eyes, brows, nose, mouth and hair."""

from __future__ import annotations

import numpy as np

from glasses_spark.datasets.drawn.canvas import Canvas, between, curve, jitter, mix, oval
from glasses_spark.datasets.drawn.sitter import Sitter


def draw_features(canvas: Canvas, sitter: Sitter, rng: np.random.Generator) -> None:
    """Draw the features of a face, all but the hair."""
    dark = mix(sitter.skin, (50, 10, 10), 0.6)
    _eyes(canvas, sitter, rng)
    _brows(canvas, sitter, rng)
    side = rng.choice([-1, 1])
    wing = rng.uniform(0.1, 0.15)
    canvas.stroke(
        curve((side * 0.05, 0.0), (side * 0.07, 0.2), (side * wing, 0.3)),
        mix(sitter.skin, dark, 0.45),
        0.02,
    )
    canvas.stroke(
        curve((-wing, 0.29), (-wing * 0.6, 0.36), (0, 0.35), (wing * 0.6, 0.36), (wing, 0.29)),
        dark,
        0.028,
    )
    _mouth(canvas, sitter, rng)
    if rng.random() < 0.3:  # freckles
        for x, y in rng.uniform([-0.45, 0.1], [0.45, 0.38], (14, 2)):
            canvas.glaze(oval(x, y, 0.016, 0.016), dark, 0.5)
    if rng.random() < 0.35:  # wrinkles beside the mouth
        for x in (-1, 1):
            canvas.stroke(
                curve((x * 0.2, 0.3), (x * 0.34, 0.42), (x * 0.34, 0.58)),
                mix(sitter.skin, dark, 0.4),
                0.018,
            )


def _eyes(canvas: Canvas, sitter: Sitter, rng: np.random.Generator) -> None:
    iris = between(((70, 44, 26), (110, 76, 40), (86, 110, 70), (80, 120, 160)), rng)
    open_, gaze = rng.uniform(0.45, 0.8), rng.uniform(-0.25, 0.25)
    made_up = rng.random() < 0.22
    powder = jitter((70, 50, 80), rng, 40)
    for side in (-1, 1):
        x, y, r = side * sitter.eye_x, sitter.eye_y, sitter.eye_size
        if made_up:  # eye shadow: a dark patch at the position of a lens
            canvas.glaze(oval(x, y - 0.04, r * 1.55, r * 1.2), powder, 0.5)
        canvas.fill(oval(x, y, r, r * open_), (242, 240, 236))
        centre = x + gaze * r * 0.8
        canvas.fill(oval(centre, y, r * 0.5, r * min(0.5, open_)), iris)
        canvas.fill(oval(centre, y, r * 0.24, r * 0.24), (12, 10, 12))
        canvas.fill(oval(centre + 0.03, y - 0.03, 0.018, 0.018), (255, 255, 255))
        lid = curve((x - r * 1.1, y + 0.02), (x, y - r * open_ * 2.1), (x + r * 1.1, y + 0.02))
        canvas.stroke(lid, (44, 28, 26), 0.03)
        canvas.stroke(
            curve((x - r, y + 0.01), (x, y + r * open_ * 2.0), (x + r, y + 0.01)),
            mix(sitter.skin, (50, 10, 10), 0.45),
            0.015,
        )


def _brows(canvas: Canvas, sitter: Sitter, rng: np.random.Generator) -> None:
    colour = mix(sitter.hair, (30, 20, 16), 0.4)
    thick, arch, slope = rng.uniform(0.03, 0.085), rng.uniform(0.02, 0.14), rng.uniform(-0.05, 0.06)
    for side in (-1, 1):
        inner, outer = side * rng.uniform(0.1, 0.16), side * rng.uniform(0.48, 0.56)
        y = sitter.brow_y
        canvas.stroke(
            curve((inner, y + slope), (side * 0.34, y - arch), (outer, y + 0.05)), colour, thick
        )
    if rng.random() < 0.1:  # brows that meet, similar to the bridge of glasses
        canvas.stroke(
            np.array([[-0.14, sitter.brow_y + slope], [0.14, sitter.brow_y + slope]]),
            colour,
            thick * 0.7,
        )


def _mouth(canvas: Canvas, sitter: Sitter, rng: np.random.Generator) -> None:
    lips = mix(sitter.skin, (170, 40, 54), rng.uniform(0.35, 0.7))
    wide, smile, y = rng.uniform(0.2, 0.3), rng.uniform(-0.03, 0.12), rng.uniform(0.54, 0.6)
    low = y + rng.uniform(0.1, 0.2)
    if rng.random() < 0.2:  # a beard, drawn before the mouth
        jaw = sitter.outline(-0.01)[:37]
        upper = curve(
            (-sitter.width, 0.1),
            (-0.45, 0.55),
            (-0.2, 0.4),
            (0, 0.42),
            (0.2, 0.4),
            (0.45, 0.55),
            (sitter.width, 0.1),
        )
        canvas.glaze(np.concatenate([jaw, upper]), sitter.hair, rng.uniform(0.45, 0.9))
    upper = curve((-wide, y - smile), (0, y - 0.08), (wide, y - smile))
    canvas.fill(
        np.concatenate([upper, curve((wide, y - smile), (0, low + 0.08), (-wide, y - smile))]),
        lips,
    )
    middle = curve((-wide, y - smile), (0, y + smile * 1.2), (wide, y - smile))
    if rng.random() < 0.35:  # teeth
        canvas.fill(
            np.concatenate([middle, curve((wide, y - smile), (0, low + 0.02), (-wide, y - smile))]),
            (244, 240, 232),
        )
    canvas.stroke(middle, mix(lips, (40, 0, 0), 0.6), 0.022)
    if rng.random() < 0.1:
        canvas.stroke(curve((-0.24, 0.5), (0, 0.4), (0.24, 0.5)), sitter.hair, 0.07)  # moustache


def draw_front_hair(canvas: Canvas, sitter: Sitter, rng: np.random.Generator) -> None:
    """Draw the hair over the forehead, and the hat."""
    if sitter.hair_style != "bald":
        _hairline(canvas, sitter, rng)
    if sitter.hat is not None:
        brim = rng.uniform(-0.58, -0.42)
        crown = sitter.outline(0.16)[36:]
        edge = curve((sitter.width + 0.06, brim), (0, brim + 0.14), (-sitter.width - 0.06, brim))
        canvas.fill(np.concatenate([crown[crown[:, 1] < brim], edge]), sitter.hat)
        canvas.stroke(edge, mix(sitter.hat, (0, 0, 0), 0.35), rng.uniform(0.08, 0.2))


def _hairline(canvas: Canvas, sitter: Sitter, rng: np.random.Generator) -> None:
    """Draw the hair over the forehead; its lower edge depends on the hair style."""
    w = sitter.width
    low = {
        "fringe": rng.uniform(-0.4, -0.2),
        "parted": rng.uniform(-0.62, -0.5),
        "long": rng.uniform(-0.7, -0.5),
        "short": rng.uniform(-0.7, -0.5),
        "curly": rng.uniform(-0.62, -0.45),
    }[sitter.hair_style]
    crown = sitter.outline(0.1)[36:]
    crown = np.concatenate([crown, [[w + 0.1, -0.02]]])
    sides = rng.uniform(-0.25, 0.1)
    if sitter.hair_style == "fringe":
        x = np.linspace(w * 0.92, -w * 0.92, 25)
        y = low + 0.12 * np.abs(x / w) ** 2 + rng.uniform(-0.05, 0.05, 25)
        edge = np.stack([x, y], axis=1)
    elif sitter.hair_style == "parted":
        part = rng.uniform(-0.3, 0.3)
        edge = np.concatenate(
            [
                curve((w * 0.93, sides), (w * 0.85, low), (part, -0.78)),
                curve((part, -0.78), (-w * 0.85, low), (-w * 0.93, sides)),
            ]
        )
    else:
        edge = curve(
            (w * 0.93, sides), (w * 0.8, low), (0, low - 0.2), (-w * 0.8, low), (-w * 0.93, sides)
        )
    canvas.fill(np.concatenate([crown, edge]), sitter.hair)
    for x in rng.uniform(-w * 0.9, w * 0.9, 9):  # strands
        tone = mix(sitter.hair, (255, 240, 210) if rng.random() < 0.5 else (0, 0, 0), 0.16)
        canvas.stroke(
            curve((x * 0.5, -1.06), (x * 0.8, -0.95), (x, min(low, -0.42) - 0.12)), tone, 0.02
        )
