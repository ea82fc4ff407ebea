"""From linear light to a file's pixels: exposure, tone, vignette, blur, noise, compression."""

from __future__ import annotations

import numpy as np

from .packages import optional
from .scene import Finish, Occluder

_STEPS = 4096
_TOP = 4.0


def _tone_table() -> np.ndarray:
    """sRGB codes 0..255 of linear light 0.._TOP after a curve with a soft shoulder."""
    light = np.linspace(0, _TOP, _STEPS)
    shoulder = light * (1 + light / 6.0) / (1 + light)
    shoulder = 1.06 * shoulder
    code = np.where(shoulder <= 0.0031308, 12.92 * shoulder, 1.055 * np.maximum(shoulder, 1e-9) ** (1 / 2.4) - 0.055)
    return (255 * code).clip(0, 255).astype(np.float32)


_TONE = _tone_table()


def develop(light: np.ndarray, finish: Finish) -> np.ndarray:
    """uint8 [H, W, 3] of linear light [H, W, 3]. The same finish gives the same grain and the same vignette."""
    cv2 = optional("cv2")

    size = light.shape[0]
    gain = 2.0**finish.exposure
    if finish.vignette > 0:
        steps = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
        gain = gain * (1 - finish.vignette * 1.6 * (steps[:, None] ** 2 + steps[None, :] ** 2))[..., None]
    pixels = _TONE[(light * gain * ((_STEPS - 1) / _TOP)).clip(0, _STEPS - 1).astype(np.int32)]
    pixels = (pixels - 118.0) * finish.contrast + 118.0 if finish.contrast != 1 else pixels
    if finish.blur > 0:
        pixels = cv2.GaussianBlur(pixels, (0, 0), finish.blur * size / 256)
    if finish.noise > 0:
        grain = np.random.default_rng(finish.seed).standard_normal(pixels.shape, np.float32)
        pixels = pixels + grain * (255 * finish.noise)
    codes = np.round(pixels.clip(0, 255)).astype(np.uint8)
    if finish.jpeg:
        _, data = cv2.imencode(".jpg", codes[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, finish.jpeg])
        codes = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1]
    return np.ascontiguousarray(codes)


def draw_occluder(light: np.ndarray, occluder: Occluder) -> np.ndarray:
    """Draw a blurred thing close to the camera over linear light [H, W, 3], in place; returns where it is, bool [H, W]."""
    cv2 = optional("cv2")

    size = light.shape[0]
    steps = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = steps[None, :] - occluder.centre[0], steps[:, None] - occluder.centre[1]
    cos, sin = np.cos(occluder.turn), np.sin(occluder.turn)
    u, v = (cos * x + sin * y) / occluder.size[0], (cos * y - sin * x) / occluder.size[1]
    if occluder.kind == 0:  # a ball, a cup's rim
        cover = 1 - np.hypot(u, v)
    elif occluder.kind == 1:  # a leaf
        cover = 1 - np.abs(u) * 1.4 - v**2
    else:  # a finger, a pen, a branch that enters from outside
        cover = np.where(v > -1, 1 - np.abs(u) * 2.2, 1 - np.hypot(u * 2.2, v + 1))
        cover = np.broadcast_to(cover, (size, size))
    soft = (cover * 14).clip(0, 1).astype(np.float32)
    soft = cv2.GaussianBlur(soft, (0, 0), 0.008 * size)[..., None]
    shade = 0.75 + 0.5 * np.random.default_rng(occluder.seed).random() - 0.35 * u[..., None].clip(-1, 1)
    light *= 1 - soft
    light += soft * shade * np.array(occluder.colour, np.float32)
    return soft[..., 0] > 0.5
