"""The pictures of a batch of cases: rendered, generated, and the answer through the autoencoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..encoders.recogniser import InsightFaceEncoder
from ..synthetic.model import FaceModel
from ..synthetic.scene import MAX_YAW
from .cases import Case, Example, render_case
from .generate import Sampling, Wanted, generate, paste, round_trip
from .identities import embeddings
from .metrics import outside_differences
from .network import Network
from .store import Arrays

KINDS = ("generated", "answer", "round_trip")
"""What every metric is measured on: what the network made, the right answer, and that after encoding and decoding."""


def make_pictures(
    network: Network,
    model: FaceModel,
    encoder: InsightFaceEncoder | None,
    cases: Sequence[Case],
    first: int,
    seed: int,
    size: int,
    sampling: Sampling,
    max_yaw: float = MAX_YAW,
) -> Arrays:
    """Everything of `Example` stacked, and generated and round_trip as uint8 [B, S, S, 3], pasted into the target.

    before_paste [B, 2]: mean absolute difference to the target outside the mask in grey levels, of what the network made and of
    the round trip. encoder: of the identities, None for the renderer's own vectors. first: number of the first case, for its
    noise.
    """
    examples = [render_case(model, seed, case, size, max_yaw) for case in cases]
    arrays = stack(examples)
    target, mask = torch.from_numpy(arrays["target"]), torch.from_numpy(arrays["mask"])
    wanted = wanted_of(encoder, arrays)
    made = {
        "generated": generate(network, wanted, case_noise(seed, first, len(cases), network.latent_shape(size)), sampling),
        "round_trip": round_trip(network, torch.from_numpy(arrays["answer"]).float() / 255),
    }
    before = [
        outside_differences((picture * 255).round().to(torch.uint8), target, mask)[1].numpy() for picture in made.values()
    ]
    pasted = {name: paste(picture, target, mask).numpy() for name, picture in made.items()}
    return {**arrays, **pasted, "before_paste": np.stack(before, 1)}


def stack(examples: Sequence[Example]) -> Arrays:
    """The fields of examples, each stacked."""
    return {name: np.stack([getattr(example, name) for example in examples]) for name in Example.__dataclass_fields__}


def identities_of(encoder: InsightFaceEncoder | None, arrays: Arrays) -> Tensor:
    """What the network is told of the references of stacked examples, [B, D]; encoder: None for the renderer's own vectors."""
    if encoder is not None:
        return embeddings(encoder, arrays["reference"], arrays["reference_points"])
    return torch.from_numpy(arrays["person"])


def wanted_of(encoder: InsightFaceEncoder | None, arrays: Arrays) -> Wanted:
    """What stacked examples ask of the network; encoder: as for `identities_of`."""
    return Wanted(
        identity=identities_of(encoder, arrays),
        expression=torch.from_numpy(arrays["coefficients"]),
        pose=torch.from_numpy(arrays["pose"]),
        target=torch.from_numpy(arrays["target"]).float() / 255,
        mask=torch.from_numpy(arrays["mask"]),
    )


def case_noise(seed: int, first: int, count: int, shape: tuple[int, ...]) -> Tensor:
    """Unit noise [count, *shape]; each case has its own, whatever the batches."""
    return torch.stack(
        [
            torch.randn(shape, generator=torch.Generator().manual_seed((seed << 20) + number))
            for number in range(first, first + count)
        ]
    )
