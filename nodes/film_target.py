"""A film as the target: one face of it cut out steadily, or exchanged from the first frame to the last."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

import torch
from comfy_api.latest import InputImpl, io, ui

from ..sfsr_model.batch import require_repeatable
from ..sfsr_model.encoders.choosing import NothingChosenError
from ..sfsr_model.encoders.framing import HOLD, HOLD_PICTURES, NO_FACE_POLICIES, FramingSettings
from ..sfsr_model.encoders.identity import same_space
from ..sfsr_model.encoders.identity_batch import PEOPLE, IdentityBatch, per_frame
from ..sfsr_model.expressions import Expression
from ..sfsr_model.face import FaceFrame, crop_face
from ..sfsr_model.film.carry import Carry, spared_steps
from ..sfsr_model.film.paste import PasteSettings, as_float, swapped
from ..sfsr_model.film.steady import CALM_REACH, POINTS_REACH
from ..sfsr_model.film.target import FilmSettings, FilmWatcher, FollowedFace, followed_frames, preview_frame
from ..sfsr_model.naming import naming
from .face import calm_input, crop_size_input, require_crop_size
from .given import checked
from .host.checks import LATENT_FACTOR, size_problem
from .host.conditioning import StreamSettings
from .host.faces import given_faces
from .host.film_sampling import Run, sample_faces
from .host.films import Film, FilmFile, new_film_path, open_film
from .host.folders import require_output_prefix, slashed
from .host.logs import said_once
from .host.network import require_vae_of
from .host.prefix import prefix_fingerprint, resolve_prefix
from .host.progress import Progress, steps
from .host.saving import metadata_is_off
from .host.streams import Asked, Traits, attachment
from .identity import ENCODERS
from .model import conditioned, stream_inputs
from .sockets import (
    CATEGORY,
    ExpressionSocket,
    FaceFrameSocket,
    IDEncoderSocket,
    IdentitySocket,
    face_choice,
    given_face_inputs,
    require,
    require_images,
)

logger = logging.getLogger(__name__)


def _crop_inputs() -> list[io.Input]:
    """How large, which face, and what becomes of frames without it."""
    return [
        crop_size_input(),
        *face_choice(),
        io.Combo.Input(
            "no_face",
            options=list(NO_FACE_POLICIES),
            default=HOLD,
            tooltip="A frame without the face stops the run, passes through unchanged, or takes it to be between its places in "
            "the frames about it, unless somebody stands before it. The report names such frames.",
        ),
    ]


def _following_inputs() -> list[io.Input]:
    """Whom to follow, how steadily, and for how long through frames without a find."""
    return [
        IDEncoderSocket.Input(
            "id_encoder",
            optional=True,
            tooltip="Finds the faces, and knows the person again after a cut or a passer-by. Without one a face is followed "
            "by its place alone.",
        ),
        IdentitySocket.Input(
            "person",
            optional=True,
            tooltip="Who is to be followed, from Identity; needs id_encoder. Without one it is the face of the number above in "
            "the first frame that has so many.",
        ),
        io.Int.Input(
            "steadiness",
            default=POINTS_REACH,
            min=0,
            max=60,
            optional=True,
            advanced=True,
            tooltip="Frames before and after each over which the face's place is smoothed; it does not lag. 5 suits 25 to 30 "
            "frames a second, 10 suits 60. 0 leaves each frame to itself.",
        ),
        io.Int.Input(
            "hold_pictures",
            default=HOLD_PICTURES,
            min=0,
            max=4096,
            optional=True,
            advanced=True,
            tooltip=f"For '{HOLD}': through how many frames in a row. Where the face does not come back, the new one fades out "
            "over the last third of them. 0 holds it to the end.",
        ),
    ]


class SFSRFilmFaceCrop(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRFilmFaceCrop",
            display_name="Film Face Crop (SFSR)",
            category=CATEGORY,
            description="Follows one face through a film and cuts it out steadily: its place does not tremble and its scale "
            "does not pump. The crops go where Face Crop's go; Face Paste then matches colours over time.",
            search_aliases=["video face", "track face", "face tracking", "stabilize", "flicker", "film", "frames"],
            inputs=[
                io.Image.Input("images", tooltip="The frames of a film in their order, as Get Video Components gives them."),
                *_crop_inputs(),
                *_following_inputs(),
                *given_face_inputs(),
            ],
            outputs=[
                io.Image.Output("crop", display_name="crop", tooltip="The upright face of each frame, all of one size."),
                io.Mask.Output(
                    "mask", display_name="mask", tooltip="The inner face in each crop: what SFSR Conditioning replaces."
                ),
                FaceFrameSocket.Output(
                    "face", display_name="face", tooltip="Where the face was in each frame, for Face Paste and the report."
                ),
                io.String.Output(
                    "report", display_name="report", tooltip="Where the face was followed, and what became of other frames."
                ),
                io.Image.Output(
                    "preview",
                    display_name="preview",
                    tooltip="The frames, reduced, with every face numbered: green is the one that is followed.",
                ),
            ],
        )

    @classmethod
    @checked
    def execute(
        cls,
        images,
        size: int,
        face_order: str,
        face_index: int,
        no_face: str,
        id_encoder=None,
        person=None,
        steadiness: int = POINTS_REACH,
        hold_pictures: int = HOLD_PICTURES,
        face_landmarks=None,
        bboxes=None,
    ) -> io.NodeOutput:
        images = require_images(images, "images")
        require_crop_size(size)
        settings = FilmSettings(FramingSettings(size, face_order, face_index, no_face, hold_pictures), steadiness)
        watcher = _watcher(settings, id_encoder, person)
        given = given_faces(images, id_encoder, face_landmarks, bboxes)
        with naming("images", NothingChosenError):
            for number, picture in steps(images):
                watcher.watch(picture, None if given is None else given[number])
            followed = watcher.followed()
        frames = followed_frames(followed)
        crops = torch.stack([crop_face(picture, frame) for picture, frame in zip(images, frames, strict=True)])
        masks = torch.stack([frame.mask for frame in frames])
        previews = torch.stack([preview_frame(followed, picture, number) for number, picture in enumerate(images)])
        report = followed.report()
        return io.NodeOutput(crops, masks, frames, report, previews, ui=ui.PreviewText(report))


class SFSRFilmSwap(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRFilmSwap",
            display_name="Film Swap (SFSR)",
            category=CATEGORY,
            description="Gives a face of a film another person and expression, and saves the film with its sound. It works a "
            "few frames at a time, so a long film needs no more memory than a short one; stopped, it keeps what is done.",
            search_aliases=["video face swap", "faceswap video", "long video", "movie", "film", "reenact video"],
            inputs=[
                io.Video.Input("video", tooltip="The film, from Load Video."),
                io.Model.Input("model", tooltip="From Load SFSR Model or SFSR Model from Adapters."),
                io.Vae.Input("vae", tooltip="The VAE from Load SFSR Model, or that of your own checkpoint."),
                IdentitySocket.Input("identity", tooltip="Whose face it shall be: one person, or another one for each frame."),
                ExpressionSocket.Input(
                    "expression", tooltip="Which expression it shall wear: one for all, or as many as the film has frames."
                ),
                io.Sampler.Input("sampler", tooltip="From Improved Midpoint Sampler, KSamplerSelect or any other."),
                io.Sigmas.Input("sigmas", tooltip="The noise levels, from Basic Scheduler or any other."),
                io.Int.Input(
                    "noise_seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Of the noise that every frame starts from. It is the same for all, and moves with the head.",
                ),
                io.Float.Input(
                    "cfg",
                    default=1.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="How strongly person and expression are pressed; 1 costs half.",
                ),
                *_crop_inputs(),
                io.String.Input(
                    "filename_prefix",
                    default="video/SFSR",
                    tooltip="Start of the film's name, in ComfyUI's output folder; a / makes a subfolder.",
                ),
                *stream_inputs(),
                io.Float.Input(
                    "feather",
                    default=0.06,
                    min=0.0,
                    max=0.5,
                    step=0.01,
                    advanced=True,
                    tooltip="Width of the soft edge as a share of the crop's side, as in Face Paste.",
                ),
                io.Float.Input(
                    "colour_match",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    advanced=True,
                    tooltip="How far the new face takes on the colours around it, over time; 0 leaves it as it was made.",
                ),
                io.Int.Input(
                    "chunk",
                    default=16,
                    min=1,
                    max=256,
                    advanced=True,
                    tooltip="How many frames are sampled at a time: more need more memory. The result is the same.",
                ),
                io.Float.Input(
                    "crf",
                    default=18.0,
                    min=0.0,
                    max=51.0,
                    step=1.0,
                    advanced=True,
                    tooltip="Lower values make a better and larger file; 0 loses next to nothing.",
                ),
                *_following_inputs(),
                calm_input(),
                io.Float.Input(
                    "carry_over",
                    default=0.0,
                    min=0.0,
                    max=0.9,
                    step=0.05,
                    optional=True,
                    advanced=True,
                    tooltip="The share of the steps that each face is spared by starting from that of the frame before. At 0.5 "
                    "it flickers a little less; much more lets mistakes pile up. At 0 each frame starts from noise. Above it, "
                    "faces are sampled one by one, whatever chunk says, and what acts early in a run acts on the first alone.",
                ),
            ],
            outputs=[
                io.Video.Output("video_out", display_name="video", tooltip="The saved film."),
                io.String.Output(
                    "report", display_name="report", tooltip="Where the face was followed, and what became of other frames."
                ),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, filename_prefix: str | None = None, **_: Any) -> str | float:
        return prefix_fingerprint(filename_prefix, datetime.now())

    @classmethod
    @checked
    def execute(
        cls,
        video,
        model,
        vae,
        identity,
        expression,
        sampler,
        sigmas,
        noise_seed: int,
        cfg: float,
        size: int,
        face_order: str,
        face_index: int,
        no_face: str,
        filename_prefix: str,
        identity_weight: float,
        expression_weight: float,
        identity_start: float,
        identity_end: float,
        expression_start: float,
        expression_end: float,
        identity_guidance: float,
        expression_guidance: float,
        feather: float,
        colour_match: float,
        chunk: int,
        crf: float,
        id_encoder=None,
        person=None,
        steadiness: int = POINTS_REACH,
        hold_pictures: int = HOLD_PICTURES,
        calm_frames: int = CALM_REACH,
        carry_over: float = 0.0,
    ) -> io.NodeOutput:
        film = open_film(video)
        people = per_frame(require(identity, PEOPLE, "identity", "Identity"))
        look = require(expression, Expression, "expression", "Expression Embed")
        streams = attachment(model)
        _check_size(streams.traits, size)
        require_vae_of(model, vae)
        # All that can be known before the film is read, which may take long.
        streams.check(Asked(people, look, (size // LATENT_FACTOR, size // LATENT_FACTOR)))
        run = Run(_checked_sampler(sampler), _checked_sigmas(sigmas), cfg, noise_seed)
        prefix = resolve_prefix(slashed(filename_prefix), cls.hidden.prompt, datetime.now())
        require_output_prefix(prefix, "filename_prefix")
        require_crop_size(size)
        settings = FilmSettings(FramingSettings(size, face_order, face_index, no_face, hold_pictures), steadiness)
        progress = Progress(2 * film.length())
        followed, times = _follow(film, _watcher(settings, id_encoder, person), progress)
        for name, given in (("identity", people), ("expression", look)):
            require_repeatable(name, len(given), "video", len(followed))
        acting = (
            StreamSettings(identity_weight, identity_start, identity_end, identity_guidance),
            StreamSettings(expression_weight, expression_start, expression_end, expression_guidance),
        )

        carry = Carry(spared_steps(carry_over, len(run.sigmas) - 1))

        def paint(crops: torch.Tensor, frames: tuple[FaceFrame, ...]) -> torch.Tensor:
            numbers = [frame.picture for frame in frames]
            asked = (_rows(people, numbers), look if len(look) == 1 else look.rows(numbers))
            masks = torch.stack([frame.mask for frame in frames])
            made = conditioned(model, vae, *asked, crops, masks, *acting, frames, same_noise=True)
            return sample_faces(made, vae, run, frames, carry)

        path, subfolder = new_film_path(prefix, film.size)
        pictures = (picture for _, picture in film.frames())
        at_once = 1 if carry.spared else chunk  # a face waits for the one before it
        pasted = swapped(pictures, followed, paint, at_once, PasteSettings(feather, colour_match, calm_frames))
        file = FilmFile(path, film, crf, None if metadata_is_off() else _about(cls))
        try:
            with said_once():
                for seconds, picture in zip(times, pasted, strict=True):
                    file.write(seconds, picture)
                    progress.step()
        finally:
            file.close()
            logger.info("SFSR: %s holds %d of %d frames", path.name, file.frames, len(followed))
        report = followed.report()
        saved = ui.PreviewVideo([ui.SavedResult(path.name, subfolder, io.FolderType.output)])
        return io.NodeOutput(InputImpl.VideoFromFile(str(path)), report, ui=saved)


def _follow(film: Film, watcher: FilmWatcher, progress: Progress) -> tuple[FollowedFace, list[float]]:
    """The face over the whole film, and each frame's time in seconds."""
    times = []
    with naming("video", NothingChosenError):
        for seconds, picture in film.frames():
            progress.step()
            watcher.watch(as_float(picture))
            times.append(seconds)
        return watcher.followed(), times


def _watcher(settings: FilmSettings, id_encoder: Any, person: Any) -> FilmWatcher:
    encoder = None if id_encoder is None else require(id_encoder, ENCODERS, "id_encoder", "Load ID Encoder")
    if person is None:
        return FilmWatcher(settings, encoder)
    wanted = per_frame(require(person, PEOPLE, "person", "Identity")).people[0]
    if encoder is None:
        raise ValueError(
            "person: it can only be told by a recogniser, and id_encoder is not connected; connect Load ID Encoder"
        )
    same_space(wanted, "person", encoder.space, f"the connected encoder {encoder.name}")
    return FilmWatcher(settings, encoder, wanted.mean())


def _rows(people: IdentityBatch, numbers: list[int]) -> IdentityBatch:
    return people if len(people) == 1 else IdentityBatch(tuple(people.people[number] for number in numbers))


def _check_size(traits: Traits, size: int) -> None:
    """Raises ValueError for a size of crops that the model makes no face of."""
    problem = size_problem(traits, size, size, "these have")
    if problem and traits.one_size_only and traits.resolution % size:
        raise ValueError(f"size: {problem}, of which it would make no face; set size to {traits.resolution}")


def _checked_sampler(sampler: Any) -> Any:
    if not callable(getattr(sampler, "sample", None)):
        raise TypeError(f"sampler: found a {type(sampler).__name__}, expected a SAMPLER; connect Improved Midpoint Sampler")
    return sampler


def _checked_sigmas(sigmas: Any) -> torch.Tensor:
    """Noise levels [steps + 1], falling. Raises TypeError for what is no tensor of numbers, ValueError for other shapes."""
    advice = "connect Basic Scheduler"
    if not isinstance(sigmas, torch.Tensor) or not sigmas.is_floating_point():
        raise TypeError(f"sigmas: found a {type(sigmas).__name__}, expected noise levels; {advice}")
    if sigmas.ndim != 1 or len(sigmas) < 2 or not bool(sigmas.isfinite().all()) or not bool((sigmas.diff() <= 0).all()):
        raise ValueError(f"sigmas: expected at least two falling noise levels, found shape {tuple(sigmas.shape)}; {advice}")
    return sigmas


def _about(cls: type[io.ComfyNode]) -> dict[str, Any]:
    """The graph and what else the host keeps in a saved film."""
    about = dict(cls.hidden.extra_pnginfo or {})
    return about | ({} if cls.hidden.prompt is None else {"prompt": cls.hidden.prompt})


NODES = [SFSRFilmFaceCrop, SFSRFilmSwap]
