"""Draw the placeholder portraits in workflows/samples: nobody's face, made of ellipses and blur.

They stand in until rendered portraits exist. `python scripts/draw_placeholders.py` writes them again, bit for bit;
it needs numpy and Pillow, which every ComfyUI environment has.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SAMPLES = Path(__file__).resolve().parent.parent / "workflows" / "samples"
SIZE, SUPERSAMPLING = 512, 2
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Portrait:
    """Colours and proportions of one drawn person; lengths are shares of the picture's side."""

    name: str
    skin: Colour
    hair: Colour
    eyes: Colour
    shirt: Colour
    backdrop: tuple[Colour, Colour]
    face_width: float = 0.235
    face_height: float = 0.32
    long_hair: bool = False
    smile: float = 0.0


PORTRAITS = (
    Portrait("identity_a", (214, 165, 135), (60, 40, 30), (70, 90, 60), (52, 84, 120), ((210, 214, 220), (150, 158, 170))),
    Portrait(
        "identity_b",
        (236, 190, 165),
        (120, 70, 40),
        (60, 90, 130),
        (130, 50, 60),
        ((226, 214, 196), (180, 160, 140)),
        0.22,
        0.31,
        True,
    ),
    Portrait(
        "target_a",
        (190, 140, 110),
        (30, 26, 26),
        (50, 36, 26),
        (60, 100, 70),
        ((190, 206, 196), (110, 140, 130)),
        0.23,
        0.315,
        True,
        0.5,
    ),
)


def draw(portrait: Portrait) -> Image.Image:
    """One portrait, SIZE x SIZE, RGB."""
    side = SIZE * SUPERSAMPLING
    canvas = _Canvas(side)
    canvas.gradient(*portrait.backdrop)
    cx, cy, w, h = 0.5, 0.46, portrait.face_width, portrait.face_height
    dark = _shade(portrait.skin, 0.62)

    canvas.ellipse(cx, 1.08, 0.42, 0.33, portrait.shirt, blur=0.004)
    canvas.ellipse(cx, cy - 0.03, w * 1.22, h * 1.12, portrait.hair, blur=0.004)
    if portrait.long_hair:
        canvas.ellipse(cx, cy + 0.17, w * 1.30, h * 1.05, portrait.hair, blur=0.006)
    canvas.ellipse(cx, cy + h + 0.02, w * 0.50, 0.14, _shade(portrait.skin, 0.78), blur=0.006)
    for sign in (-1, 1):
        canvas.ellipse(cx + sign * w * 0.99, cy + 0.01, 0.026, 0.058, _shade(portrait.skin, 0.85), blur=0.003)
    canvas.ellipse(cx, cy, w, h, portrait.skin, blur=0.003)
    # Light from above left: the far cheek, the temples and the jaw turn away from it.
    canvas.ellipse(cx + w * 0.55, cy + 0.10, w * 0.42, h * 0.60, dark, blur=0.05, opacity=0.55)
    canvas.ellipse(cx - w * 0.72, cy + 0.06, w * 0.25, h * 0.60, dark, blur=0.04, opacity=0.40)
    canvas.ellipse(cx, cy + h * 0.93, w * 0.60, 0.05, dark, blur=0.03, opacity=0.50)
    canvas.ellipse(cx - 0.03, cy - h * 0.52, w * 0.55, h * 0.22, _shade(portrait.skin, 1.12), blur=0.04, opacity=0.8)
    canvas.ellipse(cx, cy - h * 0.93, w * 0.98, h * 0.30, portrait.hair, blur=0.012)

    eye_y, eye_x = cy - 0.035, 0.092
    for sign in (-1, 1):
        x = cx + sign * eye_x
        canvas.ellipse(x, eye_y - 0.008, 0.062, 0.040, dark, blur=0.018, opacity=0.75)
        canvas.ellipse(x, eye_y, 0.040, 0.019, (236, 232, 228), blur=0.002)
        canvas.ellipse(x, eye_y, 0.0185, 0.0185, portrait.eyes, blur=0.0015)
        canvas.ellipse(x, eye_y, 0.0090, 0.0090, (16, 12, 12))
        canvas.ellipse(x - 0.006, eye_y - 0.007, 0.0035, 0.0035, (250, 250, 250))
        canvas.arc(x, eye_y + 0.004, 0.046, 0.028, 200, 340, _shade(portrait.hair, 0.6), 0.008, blur=0.002)
        canvas.arc(x, eye_y - 0.030, 0.066, 0.034, 205, 335, _shade(portrait.hair, 0.8), 0.015, blur=0.004)
        canvas.ellipse(cx + sign * 0.120, cy + 0.075, 0.050, 0.040, (214, 110, 100), blur=0.03, opacity=0.28)

    canvas.ellipse(cx + 0.018, cy + 0.045, 0.018, 0.080, dark, blur=0.018, opacity=0.55)
    canvas.ellipse(cx - 0.006, cy + 0.050, 0.014, 0.080, _shade(portrait.skin, 1.14), blur=0.012, opacity=0.9)
    canvas.ellipse(cx, cy + 0.112, 0.042, 0.022, dark, blur=0.010, opacity=0.55)
    for sign in (-1, 1):
        canvas.ellipse(cx + sign * 0.020, cy + 0.118, 0.010, 0.006, _shade(portrait.skin, 0.35), blur=0.003, opacity=0.9)

    mouth_y = cy + 0.185
    lips = tuple(int(0.55 * a + 0.45 * b) for a, b in zip(portrait.skin, (170, 60, 70), strict=True))
    canvas.ellipse(cx, mouth_y - 0.010, 0.072, 0.016, _shade(lips, 0.86), blur=0.004)
    canvas.ellipse(cx, mouth_y + 0.014, 0.062, 0.021, lips, blur=0.004)
    canvas.arc(
        cx,
        mouth_y - 0.03 - 0.03 * portrait.smile,
        0.082,
        0.032 + 0.03 * portrait.smile,
        25,
        155,
        _shade(lips, 0.4),
        0.007,
        0.002,
    )
    canvas.ellipse(cx, mouth_y + 0.050, 0.050, 0.012, dark, blur=0.012, opacity=0.55)
    return canvas.finish()


class _Canvas:
    """A picture in unit coordinates onto which soft shapes are laid one after the other."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.image = Image.new("RGB", (side, side))

    def gradient(self, top: Colour, bottom: Colour) -> None:
        share = np.linspace(0.0, 1.0, self.side)[:, None, None]
        rows = (1.0 - share) * np.array(top) + share * np.array(bottom)
        self.image = Image.fromarray(np.broadcast_to(rows, (self.side, self.side, 3)).round().astype(np.uint8))

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, blur: float = 0.0, opacity: float = 1.0
    ) -> None:
        box = [v * self.side for v in (x - rx, y - ry, x + rx, y + ry)]
        self._lay(lambda pen: pen.ellipse(box, fill=255), colour, blur, opacity)

    def arc(
        self, x: float, y: float, rx: float, ry: float, start: int, end: int, colour: Colour, width: float, blur: float
    ) -> None:
        box = [v * self.side for v in (x - rx, y - ry, x + rx, y + ry)]
        self._lay(lambda pen: pen.arc(box, start, end, fill=255, width=round(width * self.side)), colour, blur, 1.0)

    def finish(self) -> Image.Image:
        """Reduced to its final size, with a little grain so that no area is perfectly flat."""
        small = self.image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
        grain = np.random.default_rng(0).normal(0.0, 2.0, (SIZE, SIZE, 1))
        return Image.fromarray((np.asarray(small, dtype=np.float64) + grain).clip(0, 255).round().astype(np.uint8))

    def _lay(self, paint, colour: Colour, blur: float, opacity: float) -> None:
        stencil = Image.new("L", self.image.size)
        paint(ImageDraw.Draw(stencil))
        if blur:
            stencil = stencil.filter(ImageFilter.GaussianBlur(blur * self.side))
        self.image.paste(colour, mask=stencil.point(lambda value: value * opacity))


def _shade(colour: Colour, factor: float) -> Colour:
    return tuple(min(int(channel * factor), 255) for channel in colour)  # type: ignore[return-value]


def main() -> None:
    SAMPLES.mkdir(parents=True, exist_ok=True)
    for portrait in PORTRAITS:
        path = SAMPLES / f"{portrait.name}.jpg"
        draw(portrait).save(path, quality=88, optimize=True)
        print(f"{path.relative_to(SAMPLES.parent.parent)}: {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
