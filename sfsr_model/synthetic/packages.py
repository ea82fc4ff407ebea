"""Packages that only this part of the project needs, imported on first use."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

_DISTRIBUTIONS = {"cv2": "opencv-python-headless"}


def optional(module: str) -> ModuleType:
    """The module; raises ImportError that says what to install where it cannot be imported."""
    try:
        return import_module(module)
    except ImportError as error:
        package = _DISTRIBUTIONS.get(module, module)
        raise ImportError(
            f"rendered faces need {module}, which cannot be imported ({error}); install it with `pip install {package}`"
        ) from error
