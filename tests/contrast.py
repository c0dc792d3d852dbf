"""Contrast of colours by the Web Content Accessibility Guidelines."""

from __future__ import annotations


def luminance(colour: str) -> float:
    """Return the relative luminance of ``#rrggbb``, in [0, 1]."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    return relative_luminance(channels)


def relative_luminance(channels: list[float]) -> float:
    """Return the relative luminance of red, green and blue, each in [0, 1]."""
    red, green, blue = (
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
        for channel in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two colours ``#rrggbb``, from 1 to 21."""
    dark, bright = sorted([luminance(first), luminance(second)])
    return (bright + 0.05) / (dark + 0.05)
