"""Loading recognisers: a single ONNX file, or the detector and the recogniser of an insightface pack folder.

Of a pack only what is needed is loaded: the first detector and the first recogniser in the order of the file names, which is
insightface's own rule. What a file is for is read from its shapes (`onnx_files.py`), so that no session is made for landmarks,
age or gender, and a damaged file among those does not matter. Nothing is ever downloaded.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..files import state_of
from .detector import DOUBTFUL_SCORE, FaceDetector
from .onnx_about import origins
from .onnx_files import DETECTION, RECOGNITION, OnnxFile, inspect_onnx
from .recogniser import InsightFaceEncoder, RecogniserError
from .runtime import CUDA_PROVIDER, REQUIRE, RuntimeProblem, inspect_onnx_runtime

# Classifiers of expression or age look like recognisers to insightface; their outputs are a handful of numbers.
MIN_DIM = 64
_MANIFEST, _MANIFEST_VERSION = "manifest.json", 2


def load_recogniser(path: Path, provider: str = "auto") -> InsightFaceEncoder:
    """Load one recogniser ONNX, or the first recogniser and detector of a pack folder.

    Sessions are shared: the same unchanged file with the same provider is loaded once.
    Raises RecogniserError for anything that is no recogniser, RuntimeProblem when a package is missing.
    """
    if path.is_dir():
        return _load_pack(path, provider)
    _check_recogniser(_inspected(path))
    return _encoder(path.stem, path, _load_model(path, provider), None, provider, "")


def load_detector(path: Path, provider: str = "auto") -> FaceDetector:
    """Load one detector ONNX, or the detector of a pack folder.

    Raises RecogniserError for anything that has no detector with five points, RuntimeProblem when a package is missing.
    """
    if path.is_dir():
        pack = _load_pack(path, provider)
        if pack.detector is None:
            raise RecogniserError(f"detector: the pack {path.name} has none with five points; give the file of one")
        return pack.detector
    found = _inspected(path)
    if found.task != DETECTION or not found.gives_points:
        raise RecogniserError(
            f"detector: {path.name} has {len(found.outputs)} outputs; expected a detector of SCRFD's kind with 9 or 15, which "
            "are scores, boxes and five points"
        )
    return _detector(_load_model(path, provider))


def pack_files(path: Path) -> list[Path]:
    """The files that a recogniser or a pack folder is made of: the ONNX file, or those of the folder and its manifest."""
    return [path] if path.is_file() else sorted([*path.glob("*.onnx"), *path.glob(_MANIFEST)])


def space_of(path: Path) -> str:
    """Tag of a recogniser's embedding space: the start of the file's SHA-256, whatever the file is called."""
    return f"onnx-{_digest(str(path), state_of(path))[:12]}"


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
    if _has_manifest(folder):
        return _load_manifest_pack(folder, provider)
    by_task: dict[str, OnnxFile] = {}
    unreadable: list[str] = []
    for file in files:
        try:
            found = _inspected(file)
        except RecogniserError:
            unreadable.append(file.name)
            continue
        by_task.setdefault(found.task, found)
        if DETECTION in by_task and RECOGNITION in by_task:
            break
    if RECOGNITION not in by_task:
        damaged = f"; {', '.join(unreadable)} cannot be read" if unreadable else ""
        raise RecogniserError(
            f"encoder: the pack {folder.name} has no recogniser; found {', '.join(sorted(by_task)) or 'nothing'} in "
            f"{', '.join(file.name for file in files)}{damaged}"
        )
    chosen = by_task[RECOGNITION]
    _check_recogniser(chosen)
    notes = [f"left out, cannot be read: {', '.join(unreadable)}"] if unreadable else []
    detector = by_task.get(DETECTION)
    if detector is not None and not detector.gives_points:
        notes.append(f"{detector.path.name} gives no landmarks, so the carried detector finds the faces")
        detector = None
    found_by = None if detector is None else _load_model(detector.path, provider)
    return _encoder(folder.name, chosen.path, _load_model(chosen.path, provider), found_by, provider, "\n".join(notes))


def _has_manifest(folder: Path) -> bool:
    """Whether the pack says itself which file does what (insightface 1.0 and later)."""
    try:
        document = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("manifest_version") == _MANIFEST_VERSION


def _load_manifest_pack(folder: Path, provider: str) -> InsightFaceEncoder:
    _need_insightface()
    if importlib.util.find_spec("insightface.model_zoo.package_manifest") is None:
        raise RuntimeProblem(
            f"encoder: the pack {folder.name} has a {_MANIFEST}, which needs insightface 1.0 or later; run "
            "'python -m pip install -U insightface' with ComfyUI's own Python"
        )
    from insightface.model_zoo.package_manifest import load_model_package

    try:
        tasks = load_model_package(folder).tasks
    except (TypeError, ValueError, OSError, RuntimeError) as error:
        raise RecogniserError(f"encoder: {folder.name}/{_MANIFEST} is not usable ({_first_line(error)})") from error
    if RECOGNITION not in tasks:
        raise RecogniserError(f"encoder: the pack {folder.name} has no recogniser; its {_MANIFEST} lists {', '.join(tasks)}")
    detector = _load_model(folder, provider, DETECTION) if DETECTION in tasks else None
    recogniser = _load_model(folder, provider, RECOGNITION)
    return _encoder(folder.name, Path(recogniser.model_file), recogniser, detector, provider, "")


def _encoder(name: str, file: Path, model: Any, detector: Any | None, wanted: str, note: str) -> InsightFaceEncoder:
    used = model.session.get_providers()[0]
    files = [file] if detector is None else [file, Path(detector.model_file)]
    notes = "\n".join(line for line in (_provider_note(wanted, used), note, origins(dict.fromkeys(files, ""))) if line)
    dim = int(model.output_shape[-1])
    found_by = None if detector is None else _detector(detector)
    return InsightFaceEncoder(name, space_of(file), dim, used, notes, model, found_by)


def _detector(model: Any) -> FaceDetector:
    model.det_thresh = DOUBTFUL_SCORE
    return FaceDetector(Path(model.model_file).name, model)


def _provider_note(wanted: str, used: str) -> str:
    runtime = inspect_onnx_runtime()
    if wanted == "CUDA" and used != CUDA_PROVIDER:
        return f"CUDA was asked for but {used} runs it: the CUDA or cuDNN libraries did not load"
    return (runtime.mixture() or "") if runtime.torch_cuda else ""


def _check_recogniser(file: OnnxFile) -> None:
    name = file.path.name
    if file.task != RECOGNITION:
        raise RecogniserError(
            f"encoder: {name} is not a recogniser (its shapes say '{file.task}'); expected an ArcFace-type ONNX with one "
            "112x112 input and one embedding output, such as w600k_r50.onnx"
        )
    if len(file.outputs) != 1 or len(file.inputs) != 1:
        raise RecogniserError(
            f"encoder: {name} has {len(file.inputs)} inputs and {len(file.outputs)} outputs; a recogniser has one of each"
        )
    side, channels = file.inputs[0][2] or 0, file.inputs[0][1]
    if channels not in (None, 3) or (side % 112 and side % 128):
        raise RecogniserError(
            f"encoder: {name} takes {channels} x {side} x {side}; aligned faces have 3 channels and a side that is a multiple "
            "of 112 or 128"
        )


@lru_cache(maxsize=1)
def _need_insightface() -> None:
    try:
        import insightface.model_zoo  # noqa: F401 - that it can be imported is the question
    except ImportError as error:
        raise RuntimeProblem(f"insightface cannot be imported ({error}): {REQUIRE}") from error


def _inspected(path: Path) -> OnnxFile:
    """The file's shapes; raises RecogniserError naming it when it is no ONNX file."""
    _need_insightface()  # which brings the package onnx
    try:
        return inspect_onnx(path)
    # onnx and protobuf each raise types of their own for a bad file.
    except Exception as error:
        raise RecogniserError(f"encoder: {path.name} cannot be read as an ONNX network ({_first_line(error)})") from error


def _load_model(path: Path, provider: str, task: str | None = None) -> Any:
    """A model of insightface: of one file, or the one that a pack's manifest names for a task."""
    return _load_model_once(str(path), state_of(*pack_files(path)), provider, task)


@lru_cache(maxsize=16)
def _load_model_once(path: str, state: tuple, provider: str, task: str | None) -> Any:
    providers = inspect_onnx_runtime().choose(provider)
    _need_insightface()
    from insightface.model_zoo import get_model

    name = Path(path).name
    try:
        model = get_model(path, providers=providers, **({"model_task": task} if task else {}))
    # onnx, protobuf, onnxruntime and insightface's own asserts each raise types of their own for a bad file.
    except Exception as error:
        raise RecogniserError(f"encoder: {name} cannot be read as an ONNX network ({_first_line(error)})") from error
    if model is None:
        raise RecogniserError(f"encoder: {name} has a shape that insightface does not know")
    if task != DETECTION and getattr(model, "taskname", None) == RECOGNITION:
        _check_output(model, name)
    return model


def _check_output(model: Any, name: str) -> None:
    shape = model.output_shape
    if len(shape) != 2 or not isinstance(shape[-1], int):
        raise RecogniserError(f"encoder: {name} gives an output of shape {shape}, expected [N, D] with a fixed D")
    if shape[-1] < MIN_DIM:
        raise RecogniserError(
            f"encoder: {name} gives {shape[-1]} numbers a face, which is a classifier and no recogniser; recognisers give "
            f"{MIN_DIM} or more"
        )


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]


@lru_cache(maxsize=64)
def _digest(path: str, state: tuple) -> str:
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
