"""Networks as ONNX files with weights in 8 bits, and what such a file says of itself."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..encoders.onnx_about import About, read_about
from ..files import whole_file
from .photo_data import read_json
from .settings import Photos, Settings
from .taught import MANIFEST

_WORTH_PACKING = 256  # numbers in a weight; small ones, such as biases, are better kept
UNSTATED = "not stated; what the photos allow that it learned from, decides"
"""The licence of an encoder that learned from photos, where the settings give none."""


def write_onnx(
    network: nn.Module, example: Tensor, path: Path, outputs: Sequence[str], free: Mapping[str, Any], about: About | None = None
) -> None:
    """Write a network of one input, "input.1", its normalisation folded into the convolutions; atomically.

    example: what it takes. free: axes of any length, by the name of an input or output, with a name each. about: what the file
    says of itself in its metadata.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial, warnings.catch_warnings():
        # The newer exporter needs one more package and folds less.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network.eval().cpu(), (example,), str(partial), dynamo=False, opset_version=17, input_names=["input.1"],
            output_names=list(outputs), dynamic_axes=dict(free),
        )  # fmt: skip
        _pack_weights(partial, about)


def _pack_weights(path: Path, about: About | None) -> None:
    """Keep matrices and convolutions of an ONNX file in 8 bits, a scale for each output, and vectors in half precision.

    A fourth and a half of the size. They are brought back before they are used, so nothing is computed in less precision.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(path))
    graph = model.graph
    brought_back, scales = [], []
    for weight in graph.initializer:
        if weight.data_type != TensorProto.FLOAT or math.prod(weight.dims) < _WORTH_PACKING:
            continue
        values, name = numpy_helper.to_array(weight), weight.name
        if values.ndim == 1:
            weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
            brought_back.append(helper.make_node("Cast", [weight.name], [name], to=TensorProto.FLOAT))
            continue
        packed, scale = in_8_bits(values)
        weight.CopyFrom(numpy_helper.from_array(packed, f"{name}.packed"))
        scales.append(numpy_helper.from_array(scale, f"{name}.scale"))
        brought_back.append(helper.make_node("DequantizeLinear", [weight.name, f"{name}.scale"], [name], axis=0))
    graph.initializer.extend(scales)
    nodes = [*brought_back, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    if about is not None:
        helper.set_model_props(model, about.to_strings())
    onnx.save(model, str(path))


def about_run(settings: Settings) -> About:
    """What the encoder of a run says of itself: the settings' own words, then what they show; so it is for its licence.

    Where they give no licence, it is that of the encoder that the run starts from, or UNSTATED where photos are learned from.
    """
    initial = settings.encoder.initial
    before = None if initial is None or not initial.is_file() else read_about(initial)
    learned = f"learned from rendered faces ({settings.data.path.name})"
    if settings.photos is not None:
        learned += f" and photos ({settings.photos.path.name}: {', '.join(_sources(settings.photos))})"
        learned += f", taught by {settings.photos.teacher}" if settings.photos.teacher else ""
    if initial is not None:
        learned += f", starting from {initial.name}" + (f" ({before.about})" if before else "")
    licence = settings.licence
    if "licence" not in settings.model_fields_set:
        licence = before.licence if before else licence if settings.photos is None else UNSTATED
    return About(settings.task, "; ".join(filter(None, (settings.about, learned))), licence)


def _sources(photos: Photos) -> Sequence[str]:
    """Those that were learned from: the settings', or all that the store has."""
    manifest = read_json(photos.path / MANIFEST) or {}
    return photos.sources or sorted(set(manifest.get("sources", ()))) or ("all sources",)


def in_8_bits(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers of -127..127 and the scale [N] of each row of values [N, ...], whose product is nearest to them."""
    scale = np.abs(values).reshape(len(values), -1).max(1) / 127
    scale = np.where(scale > 0, scale, 1.0).astype(np.float32)
    return np.round(values / scale.reshape(-1, *[1] * (values.ndim - 1))).astype(np.int8), scale
