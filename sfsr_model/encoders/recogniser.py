"""A user's own recogniser: one ONNX file, or an insightface pack folder, run through insightface."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .detection import Detection
from .runtime import CUDA_PROVIDER, RuntimeProblem, inspect_onnx_runtime

DETECTION_SIZES = (640, 320, 160)


class RecogniserError(ValueError):
    """The file or folder is no usable recogniser; the message names it and says what was expected."""


@dataclass(frozen=True)
class InsightFaceEncoder:
    """A recogniser, and the pack's detector where there is one. Made by `load_recogniser`."""

    name: str
    space: str
    dim: int
    provider: str
    note: str
    recogniser: Any
    detector: Any | None = None
    trained: bool = True

    def embed(self, image: Tensor, points: Tensor) -> Tensor:
        """Embedding [D] of the face with five points [5, 2] in a picture [H, W, 3], float RGB in 0..1."""
        from insightface.utils.face_align import norm_crop

        aligned = norm_crop(_bgr(image), points.float().cpu().numpy(), self.recogniser.input_size[0])
        return torch.from_numpy(np.array(self.recogniser.get_feat(aligned), dtype=np.float32)).reshape(-1)

    def detect(self, image: Tensor) -> list[Detection] | None:
        """Faces by the pack's own detector, largest analysis size first; None for a single recogniser file."""
        if self.detector is None:
            return None
        picture = _bgr(image)
        for size in DETECTION_SIZES:
            boxes, points = self.detector.detect(picture, input_size=(size, size))
            if len(boxes) and points is not None:
                return [
                    Detection(torch.from_numpy(box[:4].copy()), torch.from_numpy(five.copy()), float(box[4]))
                    for box, five in zip(boxes, points, strict=True)
                ]
        return []


def load_recogniser(path: Path, provider: str = "auto") -> InsightFaceEncoder:
    """Load one recogniser ONNX, or the first recogniser (and detector) of a pack folder.

    Sessions are shared: the same unchanged file with the same provider is loaded once.
    Raises RecogniserError for anything that is no recogniser, RuntimeProblem when a package is missing.
    """
    if path.is_dir():
        return _load_pack(path, provider)
    model = _load_model(path, provider)
    _check_recogniser(model, path)
    return _encoder(path.stem, path, model, None, provider)


def _load_pack(folder: Path, provider: str) -> InsightFaceEncoder:
    files = sorted(folder.glob("*.onnx"))
    if not files:
        nested = sorted(folder.glob("*/*.onnx"))
        where = (
            f"but {nested[0].parent.name}/ inside it does: move those files up into {folder.name}/"
            if nested
            else "expected an unpacked insightface pack such as buffalo_l or antelopev2"
        )
        raise RecogniserError(f"encoder: the folder {folder.name} holds no .onnx file itself; {where}")
    by_task: dict[str, tuple[Path, Any]] = {}
    for file in files:
        model = _load_model(file, provider)
        by_task.setdefault(getattr(model, "taskname", "unknown"), (file, model))
    if "recognition" not in by_task:
        raise RecogniserError(
            f"encoder: the pack {folder.name} has no recogniser; found {', '.join(sorted(by_task))} in "
            f"{', '.join(file.name for file in files)}"
        )
    file, model = by_task["recognition"]
    _check_recogniser(model, file)
    detector = by_task["detection"][1] if "detection" in by_task else None
    return _encoder(folder.name, file, model, detector, provider)


def _encoder(name: str, file: Path, model: Any, detector: Any | None, wanted: str) -> InsightFaceEncoder:
    used = model.session.get_providers()[0]
    note = _provider_note(wanted, used)
    return InsightFaceEncoder(name, _space(file), int(model.output_shape[-1]), used, note, model, detector)


def _provider_note(wanted: str, used: str) -> str:
    runtime = inspect_onnx_runtime()
    if wanted == "CUDA" and used != CUDA_PROVIDER:
        return f"CUDA was asked for but {used} runs it: the CUDA or cuDNN libraries did not load"
    return (runtime.mixture() or "") if runtime.torch_cuda else ""


def _check_recogniser(model: Any, path: Path) -> None:
    task = getattr(model, "taskname", None)
    if task != "recognition":
        raise RecogniserError(
            f"encoder: {path.name} is not a recogniser (insightface reads it as '{task or 'unknown'}'); expected an "
            "ArcFace-type ONNX with one 112x112 input and one embedding output, such as w600k_r50.onnx"
        )
    shape = model.output_shape
    if len(shape) != 2 or not isinstance(shape[-1], int):
        raise RecogniserError(f"encoder: {path.name} gives an output of shape {shape}, expected [N, D] with a fixed D")


def _load_model(path: Path, provider: str) -> Any:
    stat = path.stat()
    return _load_model_once(str(path), stat.st_mtime_ns, stat.st_size, provider)


@lru_cache(maxsize=16)
def _load_model_once(path: str, mtime: int, size: int, provider: str) -> Any:
    providers = inspect_onnx_runtime().choose(provider)
    try:
        from insightface.model_zoo import get_model
    except ImportError as error:
        raise RuntimeProblem(
            f"insightface cannot be imported ({error}): run 'python -m pip install -r requirements.txt' in this pack's folder"
        ) from error
    name = Path(path).name
    try:
        model = get_model(path, providers=providers)
    # onnx, protobuf, onnxruntime and insightface's own asserts each raise types of their own for a bad file.
    except Exception as error:
        raise RecogniserError(f"encoder: {name} cannot be read as an ONNX network ({_first_line(error)})") from error
    if model is None:
        raise RecogniserError(
            f"encoder: {name} has a shape that insightface does not know; expected a square input of at least 112 pixels"
        )
    return model


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]


@lru_cache(maxsize=64)
def _digest(path: str, mtime: int, size: int) -> str:
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _space(path: Path) -> str:
    """Tag of a recogniser's embedding space: the start of the file's SHA-256, whatever the file is called."""
    stat = path.stat()
    return f"onnx-{_digest(str(path), stat.st_mtime_ns, stat.st_size)[:12]}"


def _bgr(image: Tensor) -> np.ndarray:
    """Float RGB [H, W, 3] in 0..1 to the uint8 BGR that insightface takes."""
    pixels = (image[..., :3].float().clamp(0, 1) * 255.0).round().to(torch.uint8).cpu().numpy()
    return np.ascontiguousarray(pixels[..., ::-1])
