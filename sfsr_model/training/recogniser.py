"""The recogniser's task: one person's faces near each other on the sphere, whatever the hair, tone, light and expression."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..encoders.alignment import arcface_template
from .aligned import faces_of
from .data import Sample, open_dataset, peek
from .face_network import EncoderNetwork, export_onnx, face_network, load_averages
from .settings import Settings

SIDE, DIM = 112, 512
# Of ArcFace's logits (Deng et al. 2019): the factor of the cosines, and the margin in radians that the right one must overcome.
_SCALE, _MARGIN = 24.0, 0.2
_REFERENCE, _SOURCE, _TARGET, _ANSWER = range(4)


def margin_loss(queries: Tensor, keys: Tensor) -> Tensor:
    """Cross-entropy of each query [B, D] finding its own key among [K, D], K >= B, the first B in the queries' order.

    All of unit length. The right angle is enlarged by ArcFace's margin; the other keys take the place of its class centres, as
    rendering never runs out of people.
    """
    cosines = (queries @ keys.T).float()
    right = cosines.diagonal().clamp(-1 + 1e-6, 1 - 1e-6)
    own = torch.eye(len(queries), len(keys), dtype=torch.bool, device=cosines.device)
    logits = torch.where(own, (right.acos() + _MARGIN).clamp_max(torch.pi).cos()[:, None], cosines)
    return nn.functional.cross_entropy(logits * _SCALE, torch.arange(len(queries), device=cosines.device))


class RecogniserTask:
    """Rendered triplets in, unit vectors of who it is out.

    The reference and the answer show one person in two heads of hair, skins and lights; the target shows the answer's own head
    with another face, so that nothing but the face tells the two apart. A second output, dropped on export, reads the
    renderer's vector of the person and so says from the first step what makes one.
    """

    def __init__(self, settings: Settings) -> None:
        self._data = settings.data
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            self.network = face_network(settings, SIDE, DIM, arcface_template(SIDE))
            self.reader = nn.Linear(DIM, peek(settings.data)[0]["identity"].shape[-1])
        self.modules: dict[str, nn.Module] = {"network": self.network, "reader": self.reader}

    def dataset(self) -> Dataset[Sample]:
        """What the loop draws its samples from."""
        return open_dataset(self._data)

    def loss(
        self, modules: dict[str, nn.Module], sample: Sample, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch, and its parts for the log."""
        place = next(self.network.parameters()).device
        faces = faces_of(sample, arcface_template(SIDE), SIDE, generator, place)
        raw = modules["network"](faces * 2 - 1).float()
        embeddings = nn.functional.normalize(raw, dim=-1).unflatten(0, (-1, 4))
        reference, answer = embeddings[:, _REFERENCE], embeddings[:, _ANSWER]
        others = (embeddings[:, _SOURCE], embeddings[:, _TARGET])
        read = modules["reader"](embeddings * DIM**0.5)
        # The answer's own entry is its reference's.
        people = sample["identity"].to(place)
        parts = {
            "match": (
                margin_loss(answer, torch.cat((reference, *others))) + margin_loss(reference, torch.cat((answer, *others)))
            ) / 2,
            "person": (read - people).square().mean(),
        }  # fmt: skip
        total = torch.stack(list(parts.values())).sum()
        hits = (answer @ torch.cat((reference, *others)).T).argmax(1) == torch.arange(len(answer), device=place)
        return total, parts | {"hits": hits.float().mean()}

    @torch.no_grad()
    def show(self, sample: Sample) -> Tensor:
        """Answers above the references found for them among the batch's own, [2, N, 3, H, W] in 0..1."""
        faces = faces_of(sample, arcface_template(SIDE), SIDE)
        vectors = read_faces(self.network, faces).unflatten(0, (-1, 4))
        found = (vectors[:, _ANSWER] @ vectors[:, _REFERENCE].T).argmax(1)
        by_role = faces.unflatten(0, (-1, 4))
        return torch.stack((by_role[:, _ANSWER], by_role[found, _REFERENCE]))[:, :16]

    def export(self, settings: Settings, path: Path, step: int | None = None) -> None:
        """Write the averages of the newest state, or of a step's, as an ONNX file that insightface loads.

        Raises StateError without a state.
        """
        load_averages(settings, step, "network", self.network)
        export_onnx(self.network, path, "embedding")


@torch.no_grad()
def read_faces(network: EncoderNetwork, faces: Tensor, chunk: int = 256) -> Tensor:
    """Unit vectors [N, D] of aligned faces [N, 3, side, side] in 0..1, on the CPU; the network's mode stays as it was."""
    training, place = network.training, next(network.parameters()).device
    network.eval()
    vectors = [nn.functional.normalize(network(part.to(place) * 2 - 1), dim=-1).cpu() for part in faces.split(chunk)]
    network.train(training)
    return torch.cat(vectors)
