"""The recogniser's task: one person's faces near each other on the sphere, whatever the hair, tone, light and expression.

Rendered triplets tell by themselves who is whom, if many fit into a step. Of photos, and of triplets where few fit in beside
photos, teachers do: their vectors are to be found again (distillation, Hinton et al. 2015). The length of a vector before it is
normalised says whether a face was seen at all.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import Linear
from torch.utils.data import Dataset

from ..encoders.alignment import arcface_template
from ..encoders.differentiable import TorchRecogniser
from .aligned import faces_of, misplaced_faces, photo_faces, some_mirrored
from .data import PHOTO, Sample, open_mixed, open_photos, peek
from .face_network import EncoderNetwork, export_onnx, face_network, load_averages
from .frozen import recogniser
from .onnx_export import about_run
from .settings import Settings, SettingsError

SIDE, DIM = 112, 512
# Of ArcFace's logits (Deng et al. 2019): the factor of the cosines, and the margin in radians that the right one must overcome.
_SCALE, _MARGIN = 24.0, 0.2
_REFERENCE, _SOURCE, _TARGET, _ANSWER = range(4)
# Weights of the angle to the teacher's vector and of the vectors' lengths.
_TAUGHT, _LENGTH = 5.0, 1.0
# Root mean squares of a vector's numbers: at least this of a face, at most that of anything else.
_FACE, _NO_FACE = 1.0, 0.25


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


def angle_loss(vectors: Tensor, wanted: Tensor) -> Tensor:
    """1 - cosine of vectors [N, D] and a teacher's [N, K], K <= D, with zeros added, which leave its cosines as they are."""
    padded = nn.functional.pad(wanted, (0, vectors.shape[1] - wanted.shape[1]))
    return (1 - nn.functional.cosine_similarity(vectors, padded)).mean()


def length_loss(faces: Tensor, others: Tensor) -> Tensor:
    """How far vectors [N, D] of faces are too short, and those of anything else too long, before they are normalised."""
    short = nn.functional.relu(_FACE - faces.square().mean(-1).add(1e-8).sqrt())
    long = nn.functional.relu(others.square().mean(-1).add(1e-8).sqrt() - _NO_FACE)
    return short.square().mean() + long.square().mean()


def blended(faces: Tensor, others: Tensor, generator: torch.Generator) -> Tensor:
    """Aligned faces [N, 3, S, S], each mixed with another: evenly, or the upper part of one above the other's lower part."""

    def uniform(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(len(faces), 1, 1, 1, generator=generator)).to(faces.device)

    height = torch.linspace(0, 1, faces.shape[-2], device=faces.device)[:, None]
    lower = ((height - uniform(0.35, 0.75)) / 0.1).clamp(0, 1)
    return torch.lerp(faces, others, torch.where(uniform(0, 1) < 0.5, lower, uniform(0.3, 0.7)))


@torch.no_grad()
def half_blended(teacher: TorchRecogniser, faces: Tensor, people: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Faces [N, 3, side, side] and vectors [N, D], the first half blends with others and what the teacher says of these.

    Nobody looks like a blend, so people never run out, and the teacher sees what the network sees (Beyer et al. 2022).
    """
    half = len(faces) // 2
    blends = blended(faces[:half], faces[half : 2 * half], generator)
    return torch.cat((blends, faces[half:])), torch.cat((teacher(blends), people[half:]))


class RecogniserTask:
    """Rendered triplets in, and labelled photos where the settings have them; unit vectors of who it is out.

    The reference and the answer show one person in two heads of hair, skins and lights; the target shows the answer's own head
    with another face, so that nothing but the face tells the two apart. A second output, dropped on export, reads the
    renderer's vector of the person and so says from the first step what makes one. Without photos triplets are told apart
    among each other; `encoders.identity` teaches them otherwise, whose vectors of them are to be found again.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            dim = DIM if settings.photos is None else max(DIM, open_photos(settings.photos).vectors.shape[1])
            self.network = face_network(settings, SIDE, dim, arcface_template(SIDE))
            self.reader = Linear(dim, peek(settings.data)[0]["identity"].shape[-1])
        self._teacher = recogniser(settings.encoders.identity)
        self._asked = None if settings.photos is None else recogniser(settings.photos.asked, "photos.asked")
        for entry, teacher in (("encoders.identity", self._teacher), ("photos.asked", self._asked)):
            if teacher is not None and teacher.size != SIDE:
                raise SettingsError(f"{entry}: takes faces of {teacher.size} pixels; expected one of {SIDE}")
        self.modules: dict[str, nn.Module] = {"network": self.network, "reader": self.reader}

    def dataset(self) -> Dataset[Sample]:
        """What the loop draws its samples from."""
        return open_mixed(self._settings)

    def loss(
        self, modules: dict[str, nn.Module], sample: Sample, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch, and its parts for the log."""
        place = next(self.network.parameters()).device
        template = arcface_template(SIDE)
        kinds = {"rendered": faces_of(sample, template, SIDE, generator, place)}
        if self._settings.photos is not None:
            mirrored = some_mirrored(sample, generator)
            kinds["photos"] = photo_faces(sample, template, SIDE, generator, place, mirrored)
            people = sample[PHOTO + "vector"].to(place)
            if self._asked is not None:
                kinds["photos"], people = half_blended(self._asked.to(place), kinds["photos"], people, generator)
            kinds["no face"] = misplaced_faces(sample, template, SIDE, generator, place)
        raw = modules["network"](torch.cat(list(kinds.values())) * 2 - 1).float()
        found = dict(zip(kinds, raw.split([len(faces) for faces in kinds.values()]), strict=True))
        by_role = nn.functional.normalize(found["rendered"], dim=-1).unflatten(0, (-1, 4))
        if self._teacher is None:
            parts = self._told_apart(modules["reader"], by_role, sample["identity"].to(place))
        else:
            with torch.no_grad():
                wanted = self._teacher.to(place)(faces_of(sample, template, SIDE, device=place))
            parts = {"rendered": _TAUGHT * angle_loss(found["rendered"], wanted)}
        if self._settings.photos is not None:
            parts["photos"] = _TAUGHT * angle_loss(found["photos"], people)
            parts["length"] = _LENGTH * length_loss(torch.cat((found["rendered"], found["photos"])), found["no face"])
        total = torch.stack(list(parts.values())).sum()
        return total, parts | {"hits": _hits(by_role)}

    def _told_apart(self, reader: nn.Module, by_role: Tensor, people: Tensor) -> dict[str, Tensor]:
        """The parts of the loss of triplets' unit vectors [B, 4, D]; people: the renderer's own vectors of the answers."""
        keys = (by_role[:, _SOURCE], by_role[:, _TARGET])
        reference, answer = by_role[:, _REFERENCE], by_role[:, _ANSWER]
        read = reader(by_role * by_role.shape[-1] ** 0.5)
        # The answer's own entry is its reference's.
        found = margin_loss(answer, torch.cat((reference, *keys))) + margin_loss(reference, torch.cat((answer, *keys)))
        return {"match": found / 2, "person": (read - people).square().mean()}

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
        export_onnx(self.network, path, "embedding", about_run(settings))


def _hits(by_role: Tensor) -> Tensor:
    """The share of answers among unit vectors [B, 4, D] whose nearest of another picture is their reference."""
    keys = torch.cat([by_role[:, role] for role in (_REFERENCE, _SOURCE, _TARGET)])
    nearest = (by_role[:, _ANSWER] @ keys.T).argmax(1)
    return (nearest == torch.arange(len(by_role), device=nearest.device)).float().mean()


@torch.no_grad()
def read_faces(network: EncoderNetwork, faces: Tensor, chunk: int = 256) -> Tensor:
    """Unit vectors [N, D] of aligned faces [N, 3, side, side] in 0..1, on the CPU; the network's mode stays as it was."""
    training, place = network.training, next(network.parameters()).device
    network.eval()
    vectors = [nn.functional.normalize(network(part.to(place) * 2 - 1), dim=-1).cpu() for part in faces.split(chunk)]
    network.train(training)
    return torch.cat(vectors)
