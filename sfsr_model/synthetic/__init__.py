"""Rendered faces with known identity, expression, pose and light. Commands: `python -m sfsr_model.synthetic --help`.

The names below are imported when they are first used: rendering needs numba and OpenCV, which nothing else here does.
None may be the name of a module in here, which would take its place once that is imported: `render` is in `render`.
"""

from __future__ import annotations

from importlib import import_module

_HOMES = {
    "AssetError": "errors",
    "DatasetError": "shards",
    "FaceModel": "model",
    "IdentitySpace": "identity",
    "Picture": "render",
    "RenderedDataset": "torch_data",
    "ShardDataset": "torch_data",
    "Triplet": "triplet",
    "sample_picture": "sample",
    "sample_triplet": "triplet",
    "write_cache": "cache",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
