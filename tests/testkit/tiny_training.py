"""All that training the network asks for, in sizes of seconds: triplets of noise in shards, an autoencoder, settings."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import ArrayLike
from PIL import Image
from safetensors.torch import save_file

from sfsr_model.expressions import ARKIT_NAMES
from sfsr_model.face import face_mask, five_points
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


def drawn_face(rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
    """A record of a single picture: an oval face with brows, eyes, nose and mouth before smooth noise, and its 68 landmarks."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    middle, half = size / 2 + rng.uniform(-0.06, 0.06, 2) * size, np.array([0.27, 0.36]) * size

    def at(across: ArrayLike, down: ArrayLike) -> np.ndarray:
        return (middle + np.stack(np.broadcast_arrays(across, down), -1) * half).astype(np.float32)

    turn = np.linspace(0, 2 * np.pi, 6, endpoint=False)
    jaw = np.linspace(np.pi, 0, 17)
    landmarks = np.concatenate(
        [
            at(np.cos(jaw), np.sin(jaw)),
            *(at(side + np.linspace(-0.25, 0.25, 5), -0.4) for side in (-0.45, 0.45)),
            at(0, np.linspace(-0.2, 0.15, 4)), at(np.linspace(-0.15, 0.15, 5), 0.25),
            *(at(side - 0.18 * np.cos(turn), -0.2 - 0.08 * np.sin(turn)) for side in (-0.45, 0.45)),
            at(np.linspace(-0.4, 0.4, 7), 0.55), at(np.linspace(0.3, -0.3, 5), 0.62), at(np.linspace(-0.3, 0.3, 8), 0.55),
        ]
    )  # fmt: skip
    face = (((x - middle[0]) / half[0]) ** 2 + ((y - middle[1]) / half[1]) ** 2) < 1
    image = rng.integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    image[face] = rng.integers((190, 130, 90), (230, 170, 120))
    for left, top, right, bottom in ((-0.68, -0.3, -0.22, -0.1), (0.22, -0.3, 0.68, -0.1), (-0.4, 0.48, 0.4, 0.64)):
        (x0, y0), (x1, y1) = at(left, top).round().astype(int), at(right, bottom).round().astype(int)
        image[y0 : y1 + 1, x0 : x1 + 1] = (40, 20, 30)
    return {"image": image, "labels": face.astype(np.uint8), "landmarks": landmarks}


def write_portraits(folder: Path, count: int = 8, seed: int = 0, size: int = SIZE) -> Path:
    """A shard of single pictures, each with a drawn face."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    write_shard(shard_path(folder, 0), [drawn_face(rng, size) for _ in range(count)])
    manifest = {"format": 1, "kind": "pictures", "size": size, "seed": 5, "count": count, "shard_size": count}
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def write_labelled(folder: Path, count: int = 8, sizes: tuple[int, int] = (80, 64)) -> Path:
    """Labelled photos in two sources, `nobody` and `news`, of two sizes; every fourth is of the split val, two are a person's.

    They have three coefficients, named in MediaPipe's order.
    """
    rng = np.random.default_rng(3)
    rows, points = [], []
    for number in range(count):
        source, size = ("nobody", "news")[number % 2], sizes[number % 2]
        record = drawn_face(rng, size)
        name = f"{source}/{number}.png"
        (folder / source).mkdir(parents=True, exist_ok=True)
        Image.fromarray(record["image"]).save(folder / name)
        split = "val" if number % 4 == 3 else "train"
        rows.append([name, source, f"{source}-{number // 4}", split, str(size), "20.0"])
        points.append(five_points(torch.from_numpy(record["landmarks"])).numpy())
    with (folder / "index.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["file", "source", "person", "split", "size", "eye_distance"], *rows])
    coefficients = rng.uniform(0, 1, (count, 3)).astype(np.float16)
    names = np.array(["_neutral", "jawOpen", "eyeBlinkLeft"])
    np.savez(folder / "labels.npz", names=names, coefficients=coefficients, points=np.stack(points).astype(np.float32))
    return folder


def save_labelled(
    folder: Path,
    rows: Sequence[tuple[str, str, str]],
    pictures: Sequence[np.ndarray],
    points: ArrayLike,
    coefficients: ArrayLike | None = None,
) -> Path:
    """A folder of labelled photos. rows: source, person and split; pictures: square uint8 [S, S, 3] with five points [N, 5, 2];
    coefficients [N, 52] in ARKit's order, 0 if left out."""
    folder.mkdir(exist_ok=True)
    with (folder / "index.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "source", "person", "split", "size", "eye_distance"])
        for number, ((source, person, split), pixels) in enumerate(zip(rows, pictures, strict=True)):
            name = f"{source}-{number:05d}.png"
            Image.fromarray(pixels).save(folder / name)
            writer.writerow([name, source, person, split, pixels.shape[0], 20])
    values = np.zeros((len(rows), len(ARKIT_NAMES))) if coefficients is None else np.asarray(coefficients)
    np.savez(folder / "labels.npz", points=np.asarray(points, np.float32), names=np.array(ARKIT_NAMES), coefficients=values)
    return folder


def write_autoencoder(path: Path) -> Path:
    """An autoencoder of random weights whose latents have half the unit deviation, as the export command writes one."""
    tensors = untrained_checkpoint().autoencoder | {"vae_scale": torch.tensor(0.5 * HOST_FACTOR)}
    save_file(tensors, path, {"format": "sfsr-autoencoder"})
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
