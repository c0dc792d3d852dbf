"""One drawn face: a portrait made of OpenCV shapes, with or without glasses.

Lengths are in face units until they meet the canvas: the origin lies between the eyes'
height and the nose, x to the right, y down, the chin near (0, 1). A head is about 1.4 wide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from glasses_spark.errors import ConfigError
from glasses_spark.loading.canvas import (
    Canvas,
    Colour,
    Image,
    Points,
    between,
    curve,
    grey,
    jitter,
    mix,
    oval,
)
from glasses_spark.seeds import derive_seed

SMALLEST, LARGEST = 64, 1024  # px; below 64 a thin rim is gone, above 1024 no one has asked

SKINS = (
    (255, 224, 196),
    (241, 194, 158),
    (222, 170, 128),
    (190, 132, 92),
    (141, 90, 60),
    (92, 58, 40),
)
HAIRS = (
    (24, 20, 20),
    (58, 38, 26),
    (104, 66, 38),
    (156, 106, 56),
    (214, 176, 108),
    (148, 56, 28),
    (170, 168, 166),
)
RIMS = (
    (22, 22, 26),
    (60, 36, 24),
    (120, 30, 36),
    (30, 50, 110),
    (24, 84, 70),
    (196, 160, 84),
    (188, 192, 198),
    (238, 236, 228),
)
RIM_SHARES = (0.28, 0.16, 0.12, 0.12, 0.08, 0.08, 0.08, 0.08)
CLOTHES = (
    (36, 44, 66),
    (128, 36, 44),
    (44, 92, 74),
    (206, 198, 182),
    (84, 84, 92),
    (196, 140, 52),
    (108, 76, 132),
    (232, 232, 236),
)


def draw_face(index: int, label: float | None, *, size: int, seed: int) -> Image:
    """Draw one face.

    The label decides over the glasses and over nothing else: with the same index, size and
    seed, two pictures of different label are equal outside the glasses and their shade.

    Args:
        index: Number of the face, at least 0.
        label: 1.0 with glasses, 0.0 without; None or NaN for a face of which it is hard to
            tell: glasses pushed up into the hair, behind a strand of hair, or rimless.
        size: Height and width in pixels, 64 to 1024. All sizes show the same face.
        seed: Seed of the collection, at least 0.

    Returns:
        The picture, uint8 RGB of shape (size, size, 3). It depends on the arguments alone
        (and on the release of OpenCV and NumPy that draws it).

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
        raise ConfigError(f"label is {label}: expected 0.0, 1.0, or None where nobody could tell")

    chance = _Chance(seed, index)
    sitter = _Sitter.random(chance.of("sitter"))
    # Twice the detail of the usual 256 px, so that thin rims keep their thickness at any size.
    canvas = Canvas.posed(max(512, size), chance.of("pose"))
    _background(canvas, chance.of("background"))
    _body(canvas, sitter, chance.of("body"))
    _head(canvas, sitter)
    _shade(canvas, sitter, chance.of("shade"))
    _features(canvas, sitter, chance.of("features"))
    if label == 1.0:
        _glasses(canvas, _Frame.random(chance.of("glasses"), sitter), sitter)
    _front_hair(canvas, sitter, chance.of("front hair"))
    if undefined:
        _doubtful_glasses(canvas, sitter, chance.of("glasses"))
    return _photograph(canvas.image, size, chance.of("light"))


class _Chance:
    """Independent generators by name: a part left out does not shift the draws of another."""

    def __init__(self, seed: int, index: int) -> None:
        self._seed, self._index = seed, index

    def of(self, part: str) -> np.random.Generator:
        return np.random.default_rng(derive_seed(self._seed, "face", self._index, part))


@dataclass(frozen=True)
class _Sitter:
    """What is true of a person, with or without glasses."""

    skin: Colour
    hair: Colour
    hair_style: str
    hat: Colour | None
    width: float  # of half the head
    jaw: float  # 0 round to 1 pointed
    eye_x: float
    eye_y: float
    eye_size: float
    brow_y: float

    @classmethod
    def random(cls, rng: np.random.Generator) -> _Sitter:
        hat = rng.random() < 0.14
        styles = ["short", "fringe", "parted", "long", "curly", "bald"]
        return cls(
            skin=between(SKINS, rng),
            hair=jitter(HAIRS[rng.integers(len(HAIRS))], rng, 10),
            hair_style=str(rng.choice(styles, p=[0.22, 0.26, 0.18, 0.16, 0.1, 0.08])),
            hat=jitter(CLOTHES[rng.integers(len(CLOTHES))], rng, 15) if hat else None,
            width=rng.uniform(0.66, 0.78),
            jaw=rng.uniform(0.1, 0.6),
            eye_x=rng.uniform(0.29, 0.34),
            eye_y=rng.uniform(-0.1, -0.04),
            eye_size=rng.uniform(0.1, 0.14),
            brow_y=rng.uniform(-0.36, -0.27),
        )

    def outline(self, grow: float = 0.0) -> Points:
        """The head's edge, clockwise from the right ear, `grow` units outside."""
        angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
        down = np.clip(np.sin(angle), 0, 1)
        half = (self.width + grow) * (1 - self.jaw * 0.45 * down**2.5)
        return np.stack([half * np.cos(angle), (1.0 + grow) * np.sin(angle) - 0.02], axis=1)


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


def _body(canvas: Canvas, sitter: _Sitter, rng: np.random.Generator) -> None:
    """Hair behind the head, shoulders, neck, ears and what is worn there."""
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


def _head(canvas: Canvas, sitter: _Sitter) -> None:
    canvas.fill(sitter.outline(), sitter.skin)


def _shade(canvas: Canvas, sitter: _Sitter, rng: np.random.Generator) -> None:
    """Multiply soft shadows into the skin, some of them in the places of frames."""
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


def _features(canvas: Canvas, sitter: _Sitter, rng: np.random.Generator) -> None:
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
    if rng.random() < 0.35:  # lines of laughing or of age
        for x in (-1, 1):
            canvas.stroke(
                curve((x * 0.2, 0.3), (x * 0.34, 0.42), (x * 0.34, 0.58)),
                mix(sitter.skin, dark, 0.4),
                0.018,
            )


def _eyes(canvas: Canvas, sitter: _Sitter, rng: np.random.Generator) -> None:
    iris = between(((70, 44, 26), (110, 76, 40), (86, 110, 70), (80, 120, 160)), rng)
    open_, gaze = rng.uniform(0.45, 0.8), rng.uniform(-0.25, 0.25)
    made_up = rng.random() < 0.22
    powder = jitter((70, 50, 80), rng, 40)
    for side in (-1, 1):
        x, y, r = side * sitter.eye_x, sitter.eye_y, sitter.eye_size
        if made_up:  # eye shadow: a dark patch where a lens would be
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


def _brows(canvas: Canvas, sitter: _Sitter, rng: np.random.Generator) -> None:
    colour = mix(sitter.hair, (30, 20, 16), 0.4)
    thick, arch, slope = rng.uniform(0.03, 0.085), rng.uniform(0.02, 0.14), rng.uniform(-0.05, 0.06)
    for side in (-1, 1):
        inner, outer = side * rng.uniform(0.1, 0.16), side * rng.uniform(0.48, 0.56)
        y = sitter.brow_y
        canvas.stroke(
            curve((inner, y + slope), (side * 0.34, y - arch), (outer, y + 0.05)), colour, thick
        )
    if rng.random() < 0.1:  # brows that meet, as a bridge would
        canvas.stroke(
            np.array([[-0.14, sitter.brow_y + slope], [0.14, sitter.brow_y + slope]]),
            colour,
            thick * 0.7,
        )


def _mouth(canvas: Canvas, sitter: _Sitter, rng: np.random.Generator) -> None:
    lips = mix(sitter.skin, (170, 40, 54), rng.uniform(0.35, 0.7))
    wide, smile, y = rng.uniform(0.2, 0.3), rng.uniform(-0.03, 0.12), rng.uniform(0.54, 0.6)
    low = y + rng.uniform(0.1, 0.2)
    if rng.random() < 0.2:  # a beard, below everything else of the mouth
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


@dataclass(frozen=True)
class _Frame:
    """A pair of glasses."""

    rim: Colour
    thickness: float
    lens_x: float
    lens_y: float
    rx: float
    ry: float
    power: float
    tint: Colour
    tint_strength: float
    glint: float

    @classmethod
    def random(cls, rng: np.random.Generator, sitter: _Sitter) -> _Frame:
        kind = str(rng.choice(["full", "thin", "dark"], p=[0.43, 0.27, 0.3]))
        rim = jitter(RIMS[rng.choice(len(RIMS), p=RIM_SHARES)], rng, 12)
        if abs(grey(rim) - grey(sitter.skin)) < 75:  # people choose a frame that shows
            rim = mix(rim, (20, 20, 24) if grey(sitter.skin) > 110 else (250, 246, 235), 0.8)
        width = rng.uniform(0.23, 0.29)
        return cls(
            rim=rim,
            thickness=rng.uniform(0.03, 0.042) if kind == "thin" else rng.uniform(0.055, 0.085),
            lens_x=sitter.eye_x + rng.uniform(-0.01, 0.03),
            lens_y=sitter.eye_y + rng.uniform(0.0, 0.05),
            rx=width,
            ry=width * rng.uniform(0.7, 1.0),
            power=rng.uniform(2.0, 4.5),
            tint=jitter((30, 30, 36), rng, 24) if kind == "dark" else (226, 236, 244),
            tint_strength=rng.uniform(0.82, 1.0) if kind == "dark" else rng.uniform(0.04, 0.16),
            glint=rng.uniform(0.15, 0.5),
        )


def _glasses(canvas: Canvas, frame: _Frame, sitter: _Sitter) -> None:
    y, inner = frame.lens_y, frame.lens_x - frame.rx
    for side in (-1, 1):
        x = side * frame.lens_x
        lens = oval(x, y, frame.rx, frame.ry, frame.power)
        canvas.glaze(lens, frame.tint, frame.tint_strength)
        glint = np.array(
            [[x - 0.1, y + 0.1], [x - 0.02, y + 0.1], [x + 0.1, y - 0.11], [x + 0.02, y - 0.11]]
        )
        canvas.glaze(glint, (255, 255, 255), frame.glint)
        temple = np.array(
            [[x + side * frame.rx, y - 0.05], [side * (sitter.width + 0.03), y - 0.09]]
        )
        canvas.stroke(temple, frame.rim, max(0.03, frame.thickness * 0.9))
        canvas.stroke(lens, frame.rim, frame.thickness, closed=True)
    canvas.stroke(
        curve((-inner, y - 0.04), (0, y - 0.12), (inner, y - 0.04)), frame.rim, frame.thickness
    )


def _doubtful_glasses(canvas: Canvas, sitter: _Sitter, rng: np.random.Generator) -> None:
    """Glasses of which one may say either: does that count as wearing them?"""
    kind = str(rng.choice(["pushed up", "behind hair", "rimless"]))
    frame = _Frame.random(rng, sitter)
    if kind == "pushed up":
        _glasses(canvas, replace(frame, lens_y=-0.74, tint_strength=0.5), sitter)
    elif kind == "behind hair":
        _glasses(canvas, frame, sitter)
        side = rng.choice([-1, 1])
        for x in np.linspace(-0.55, 0.7, 26):  # a mane that leaves one rim in sight
            lock = curve((side * 0.1, -0.95), (side * x, -0.7), (side * x, rng.uniform(0.2, 0.5)))
            canvas.stroke(lock, mix(sitter.hair, (0, 0, 0), rng.uniform(0, 0.25)), 0.1)
    else:  # all that is left is a bridge, two glints and the temples' ends
        skin = mix(sitter.skin, frame.rim, 0.35)
        _glasses(canvas, replace(frame, rim=skin, thickness=0.008, tint_strength=0.06), sitter)


def _front_hair(canvas: Canvas, sitter: _Sitter, rng: np.random.Generator) -> None:
    if sitter.hair_style != "bald":
        _hairline(canvas, sitter, rng)
    if sitter.hat is not None:
        brim = rng.uniform(-0.58, -0.42)
        crown = sitter.outline(0.16)[36:]
        edge = curve((sitter.width + 0.06, brim), (0, brim + 0.14), (-sitter.width - 0.06, brim))
        canvas.fill(np.concatenate([crown[crown[:, 1] < brim], edge]), sitter.hat)
        canvas.stroke(edge, mix(sitter.hat, (0, 0, 0), 0.35), rng.uniform(0.08, 0.2))


def _hairline(canvas: Canvas, sitter: _Sitter, rng: np.random.Generator) -> None:
    """The hair over the forehead: its lower edge is what tells one cut from another."""
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


def _photograph(image: Image, size: int, rng: np.random.Generator) -> Image:
    """Light, focus and the grain of the film."""
    if image.shape[0] != size:
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    blur = rng.uniform(0.0, 1.0) * size / 256
    if blur > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    across, down, level = rng.normal(0, 0.1), rng.normal(0, 0.1), rng.uniform(0.85, 1.1)
    tone, coarse = rng.uniform(-12, 12, 3), rng.uniform(1, 5)
    ramp = np.linspace(-1, 1, size)
    light = (level + across * ramp[None] + down * ramp[:, None]).astype(np.float32)
    # Drawn last: how many numbers it takes depends on the size, and nothing else may.
    grain = rng.standard_normal((size, size), dtype=np.float32) * np.float32(coarse)
    lit = image * light[..., None] + (grain[..., None] + tone.astype(np.float32))
    developed: Image = np.clip(np.rint(lit), 0, 255).astype(np.uint8)
    return developed
