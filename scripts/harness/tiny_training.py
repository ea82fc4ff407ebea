"""All that training the network asks for, in sizes of seconds: triplets of noise in shards, an autoencoder, settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import save_file

from sfsr_model.face import face_mask
from sfsr_model.face.crop import template
from sfsr_model.network import untrained_checkpoint
from sfsr_model.network.layout import HOST_FACTOR
from sfsr_model.synthetic.shards import MANIFEST, shard_path, write_shard

SIZE, PERSON = 64, 24
TINY_UNET = {"model_channels": 32, "channel_mult": [1, 2], "num_res_blocks": 1, "attention": [False, True], "context_dim": 32}
_GROUPS = (range(36, 42), range(42, 48), (30,), (48,), (54,))


def crop_landmarks(size: int) -> np.ndarray:
    """68 landmarks [68, 2] of a face that lies in its crop as the crop rule wants it."""
    points = np.full((68, 2), size / 2, np.float32)
    for group, place in zip(_GROUPS, template().numpy() * size - 0.5, strict=True):
        points[list(group)] = place
    return points


def write_triplets(folder: Path, count: int = 6, per_shard: int = 4, seed: int = 0, size: int = SIZE) -> Path:
    """Shards of triplets whose answers are targets with another face; the pictures are smooth noise."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    landmarks = np.stack([crop_landmarks(size)] * 4)
    mask = face_mask(torch.from_numpy(landmarks[0]), size).numpy()
    records: list[dict[str, np.ndarray]] = []
    for _ in range(count):
        images = rng.integers(0, 256, (4, size // 8, size // 8, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
        images[3] = np.where(mask[..., None] > 0, images[3], images[2])
        records.append(
            {
                "image": images,
                "labels": np.zeros((4, size, size), np.uint8),
                "mask": np.round(mask * 255).astype(np.uint8),
                "identity": rng.normal(size=(4, PERSON)).astype(np.float32),
                "coefficients": rng.uniform(0, 1, (4, 52)).astype(np.float32),
                "pose": rng.uniform(-0.3, 0.3, (4, 3)).astype(np.float32),
                "landmarks": landmarks,
            }
        )
    for number, first in enumerate(range(0, count, per_shard)):
        write_shard(shard_path(folder, number), records[first : first + per_shard])
    manifest = {"format": 1, "kind": "triplets", "size": size, "seed": 5, "count": count, "shard_size": per_shard}
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def write_autoencoder(path: Path) -> Path:
    """An autoencoder of random weights whose latents have half the unit deviation, as the export command writes one."""
    save_file(untrained_checkpoint().autoencoder | {"vae_scale": torch.tensor(0.5 * HOST_FACTOR)}, path)
    return path


def write_settings(folder: Path, data: Path, autoencoder: Path, /, **changes: Any) -> Path:
    """A settings file for the task sfsr; changes replace entries, or those of a section."""
    entries: dict[str, Any] = {
        "task": "sfsr",
        "data": {"path": str(data), "kind": "shards", "size": SIZE},
        "autoencoder": str(autoencoder),
        "state": "state",
        "steps": 4,
        "batch": 2,
        "save_every": 2,
        "sample_every": 100,
        "log_every": 1,
        "optimiser": {"warmup": 0, "rate": 0.001},
        "network": dict(TINY_UNET),
    }
    for name, value in changes.items():
        entries[name] = {**entries.get(name, {}), **value} if isinstance(value, dict) else value
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(entries), encoding="utf-8")
    return path
