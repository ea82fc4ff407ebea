"""Streams made of adapters: a person and an expression for a network that knows neither, by decoupled attention."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import comfy.clip_vision
import comfy.controlnet
import comfy.lora
import comfy.model_management
import comfy.ops
import comfy.sd
import torch
from torch import Tensor
from torch.nn import functional as F

from ...sfsr_model.adapters.action_units import fineface_units
from ...sfsr_model.adapters.adapter import Adapter, AdapterError
from ...sfsr_model.adapters.arc2face import LICENCE, PERSON_TOKEN, PROMPT, TEXT_WIDTH, token_rows
from ...sfsr_model.adapters.key_points import draw_key_points
from ...sfsr_model.adapters.keys_values import KeysValues
from ...sfsr_model.adapters.kinds import ARC2FACE, FINEFACE
from ...sfsr_model.adapters.layers import AttentionLayer, attention_layers
from ...sfsr_model.adapters.lora import lora_state
from ...sfsr_model.adapters.projections import projection_of
from ...sfsr_model.adapters.recognisers import doubt_of
from ...sfsr_model.bundled import BUNDLED_NAME
from ...sfsr_model.encoders.bundled import bundled_space
from ...sfsr_model.encoders.identity_batch import IdentityBatch
from ...sfsr_model.expressions import Expression, flame_numbers
from .anchoring import hold_to_target
from .checks import LATENT_FACTOR, check_runs
from .decoupled import KEY, Attended, Rows, StreamsCond, install
from .network import patched
from .smirk_files import flame_map
from .streams import ATTACHMENT, Acting, Asked, Given, Traits

logger = logging.getLogger(__name__)

# Pixels of a picture's side that checkpoints of a context's width were trained at.
_SIDES, _SIDE = {768: 512, 1024: 768, 2048: 1024}, 512

_UNUSED = {
    "identity": "no adapter gives it, so the person is left out; Improved Midpoint Sampler's identity_guidance can lead there",
    "expression": "no adapter gives it, so it is left out; Improved Midpoint Sampler's expression_guidance can lead there",
}


@dataclass(frozen=True, eq=False)
class LoadedAdapter:
    """An adapter whose networks the host manages. shortcut: a plus file is taken for plusv2. clip_vision: the host's, of those
    that look at the face."""

    adapter: Adapter
    networks: Any
    shortcut: bool = False
    clip_vision: Any = None

    def tokens(self, vectors: Tensor, faces: Tensor | None, on: bool) -> Tensor:
        """Tokens [B, T, C] of vectors [B, inputs] and of aligned faces [B, S, S, 3] in 0..1; where it is not on, of nobody."""
        if not on:
            vectors, faces = torch.zeros_like(vectors[:1]), None
        comfy.model_management.load_models_gpu([self.networks])
        place = self.networks.load_device
        features = None if not self.adapter.wants_picture else self._features(faces, len(vectors)).to(place)
        made = self.networks.model["projection"](vectors.to(place), features, self.shortcut)
        return made.to(comfy.model_management.intermediate_device())

    def attended(self, tokens: Tensor, scale: float) -> Attended:
        """Their keys and values in every layer."""
        comfy.model_management.load_models_gpu([self.networks])
        resting = comfy.model_management.intermediate_device()
        found = self.networks.model["keys_values"](tokens.to(self.networks.load_device))
        return Attended({number: (key.to(resting), value.to(resting)) for number, (key, value) in found.items()}, scale)

    def _features(self, faces: Tensor | None, count: int) -> Tensor:
        """CLIP's features of the faces; without any, those of its mean colour, which its normalisation makes zero."""
        if faces is None:
            model = self.clip_vision
            size, mean = getattr(model, "image_size", 224), getattr(model, "image_mean", (0.48145466, 0.4578275, 0.40821073))
            faces = torch.tensor(mean).expand(1, size, size, 3)
        return self.clip_vision.encode_image(faces)["penultimate_hidden_states"].float().expand(count, -1, -1)


@dataclass(frozen=True, eq=False)
class Text:
    """A prompt as the model's own text encoder reads it. entries: what its condition carries beside the context."""

    context: Tensor
    entries: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class PersonInPrompt:
    """Arc2Face's way: the person takes the place of a word, and the text encoder itself gives the person."""

    clip: Any

    def context(self, people: IdentityBatch, acting: Acting) -> Tensor:
        """The context of each person, [B or 1, T, C]. A weight below 1 lies between nobody's and theirs."""
        nobody = read_text(self.clip, "").context
        if not acting.on or not acting.weight:
            return nobody
        rows = token_rows(torch.stack([person.mean() for person in distinct(people)]))
        return torch.cat([nobody.lerp(self._of(row), acting.weight) for row in rows])

    def _of(self, row: Tensor) -> Tensor:
        tokens = {
            encoder: [[(row if token == PERSON_TOKEN else token, *rest) for token, *rest in part] for part in parts]
            for encoder, parts in self.clip.tokenize(PROMPT).items()
        }
        return self.clip.encode_from_tokens(tokens)


@dataclass(frozen=True, eq=False)
class PointsControl:
    """InstantID's ControlNet: it looks at a drawing of the five points, and attends to the person's tokens."""

    control_net: Any
    strength: float
    # The run's own, and whom it was made for: the host evaluates conditions together whose ControlNet is the same.
    _latest: list[tuple[Asked, Any]] = field(default_factory=list)

    def entries(self, asked: Asked, tokens: Tensor) -> dict[str, Any]:
        """Of a condition's dictionary. Raises ValueError where nobody said where the faces are."""
        if self.strength == 0.0:
            return {}
        if asked.points is None:
            raise ValueError("face: InstantID draws the face's five points; connect the face output of Face Crop")
        if not self._latest or self._latest[0][0] is not asked:
            size = asked.size[0] * LATENT_FACTOR, asked.size[1] * LATENT_FACTOR
            drawn = torch.stack([draw_key_points(points, size) for points in asked.points]).movedim(-1, 1)
            self._latest[:] = [(asked, self.control_net.copy().set_cond_hint(drawn, self.strength, (0.0, 1.0)))]
        return {"control": self._latest[0][1], "control_apply_to_uncond": False, "cross_attn_controlnet": tokens}


@dataclass(frozen=True, eq=False)
class AdapterStreams:
    """The streams of adapters, each of which may be missing.

    in_prompt: gives the person in the text's place. control: goes with the identity adapter. region: [1, H, W] in 0..1 where
    the adapters act, or None.
    """

    layers: tuple[AttentionLayer, ...]
    identity: LoadedAdapter | None
    expression: LoadedAdapter | None
    wanted: Text
    unwanted: Text
    traits: Traits
    in_prompt: PersonInPrompt | None = None
    control: PointsControl | None = None
    region: Tensor | None = None

    def said(self) -> str:
        """For people: what gives each stream, from whom and under which licence, and what stays unused where nothing does."""
        person = _said(self.identity)
        if self.in_prompt is not None:
            person = f"the prompt, by Arc2Face's text encoder ({LICENCE}); knows people by {ARC2FACE} alone"
        lines = [f"identity: {person or _UNUSED['identity']}", f"expression: {_said(self.expression) or _UNUSED['expression']}"]
        return "\n".join([*lines, f"Face Crop's size: {self.traits.resolution}"])

    def check(self, asked: Asked) -> None:
        """Raise ValueError for a person whom the identity's network does not know, or of whom it lacks something."""
        if self.expression is None:
            logger.warning("SFSR: expression: %s", _UNUSED["expression"])
        if self.identity is None and self.in_prompt is None:
            logger.warning("SFSR: identity: %s", _UNUSED["identity"])
        spaces = {space: f"'{BUNDLED_NAME}'"} if (space := bundled_space()) else {}
        doubt = None
        if self.identity is not None:
            adapter = self.identity.adapter
            doubt = doubt_of(adapter.recogniser, f"{adapter.name} ({adapter.facts.title})", asked.people.space, spaces)
            _person_vectors(adapter, asked.people)
            _faces(adapter, asked.people)
        elif self.in_prompt is not None:
            doubt = doubt_of(ARC2FACE, "Arc2Face", asked.people.space, spaces)
        if doubt:
            logger.warning("SFSR: %s", doubt)

    def install(self, model: Any, identity: Acting, expression: Acting) -> None:
        """The patches of every cross-attention, where a stream is to act."""
        if (self.identity and identity.weight) or (self.expression and expression.weight):
            install(model, self.layers)

    def given(self, asked: Asked, identity: Acting, expression: Acting, prompt: bool = True) -> Given:
        """The prompt's context, and the keys and values of each stream. A stream that is off gives those of a zero vector, its
        null; one of weight 0 gives nothing."""
        streams, entries = [], {}
        if self.identity is not None and identity.weight:
            vectors = _person_vectors(self.identity.adapter, asked.people)
            tokens = self.identity.tokens(vectors, _faces(self.identity.adapter, asked.people), identity.on)
            streams.append(self.identity.attended(tokens, identity.weight))
            if self.control is not None:
                entries = self.control.entries(asked, tokens)
        if self.expression is not None and expression.weight:
            vectors = expression_vectors(self.expression.adapter, asked.look)
            streams.append(self.expression.attended(self.expression.tokens(vectors, None, expression.on), expression.weight))
        region = self.region
        if region is not None:
            region = F.interpolate(region[:, None], asked.size, mode="bilinear", antialias=True)[:, 0]
        conds = {KEY: StreamsCond((Rows(tuple(streams), region=region),))} if streams else {}
        text = self.wanted if prompt else self.unwanted
        context = text.context if self.in_prompt is None else self.in_prompt.context(asked.people, identity)
        return Given(context, {**text.entries, **entries}, conds)


def _said(loaded: LoadedAdapter | None) -> str:
    if loaded is None:
        return ""
    facts = loaded.adapter.facts
    wants = "" if facts.recogniser is None else f"; knows people by {facts.recogniser} alone"
    return f"{loaded.adapter.name}, {facts.title} ({facts.licence}){wants}"


def load_adapter(adapter: Adapter, shortcut: bool = False, clip_vision: Any = None) -> LoadedAdapter:
    """Its networks in the host's management."""
    if adapter.wants_picture and clip_vision is None:
        raise ValueError(
            f"clip_vision: {adapter.name} looks at the face; connect Load CLIP Vision with CLIP ViT-H/14's picture encoder"
        )
    load_device = comfy.model_management.text_encoder_device()
    offload_device = comfy.model_management.text_encoder_offload_device()
    options: dict[str, Any] = {"operations": comfy.ops.manual_cast, "device": offload_device}
    options["dtype"] = next(iter(adapter.projection.values())).dtype
    networks = torch.nn.ModuleDict(
        {"projection": projection_of(adapter, **options), "keys_values": KeysValues(adapter, **options)}
    )
    return LoadedAdapter(adapter, patched(networks, load_device, offload_device), shortcut, clip_vision)


def with_adapters(
    model: Any,
    identity: LoadedAdapter | None,
    expression: LoadedAdapter | None,
    texts: tuple[Text, Text],
    resolution: int,
    lora: float,
    **others: Any,
) -> Any:
    """A clone of a stock model that SFSR Conditioning accepts.

    texts: wanted and unwanted. resolution: side of its crops in pixels, 0 for what its kind was trained at. lora: strength of
    the LoRA in the identity adapter's file. others: of AdapterStreams. Raises AdapterError where an adapter does not fit.
    """
    config = model.model.model_config.unet_config
    layers = attention_layers(config)
    for one in (identity, expression):
        if one is not None:
            one.adapter.fits(layers, config["context_dim"])
    if "in_prompt" in others and config["context_dim"] != TEXT_WIDTH:
        raise AdapterError(
            f"its context is {config['context_dim']} wide, and Arc2Face's network is of Stable Diffusion 1.5's kind "
            f"({TEXT_WIDTH}); load that, or choose another identity_adapter"
        )
    if texts[0].context.shape[-1] != config["context_dim"]:
        raise AdapterError(
            f"its context is {config['context_dim']} wide, and what clip makes of a text {texts[0].context.shape[-1]}; connect "
            "model and clip of one checkpoint"
        )
    cloned = model.clone()
    if identity is not None and lora:
        _add_lora(cloned, identity.adapter, layers, lora)
    traits = Traits(resolution or _SIDES.get(config["context_dim"], _SIDE))
    cloned.set_attachments(ATTACHMENT, AdapterStreams(layers, identity, expression, *texts, traits, **others))
    hold_to_target(cloned)
    check_runs(cloned, traits)
    return cloned


def told_of(model: Any) -> str:
    """For people: what the streams of a model that `with_adapters` made are given by."""
    return model.attachments[ATTACHMENT].said()


def require_unet(model: Any) -> Any:
    """What came over a `model` socket; raises TypeError for what has no cross-attentions that adapters know."""
    config = getattr(getattr(getattr(model, "model", None), "model_config", None), "unet_config", {})
    if "transformer_depth" not in config or not isinstance(config.get("context_dim"), int):
        inner = type(getattr(model, "model", model)).__name__
        raise TypeError(
            f"model: found a {inner}, and adapters are for networks of Stable Diffusion 1.5's and SDXL's kind; connect the "
            "MODEL of Load Checkpoint with one of those"
        )
    return model


_OF_THE_HOST = {
    "clip": (comfy.sd.CLIP, "Load Checkpoint"),
    "clip_vision": (comfy.clip_vision.ClipVisionModel, "Load CLIP Vision"),
    "control_net": (comfy.controlnet.ControlBase, "Load ControlNet Model"),
}
"""By input: what the host's class is, and which of its nodes gives it."""


def require_of_host(name: str, value: Any) -> Any:
    """What came over one of these inputs; raises TypeError for anything else."""
    kind, maker = _OF_THE_HOST[name]
    if not isinstance(value, kind):
        raise TypeError(f"{name}: found a {type(value).__name__}, expected a {name.upper()}; connect that of {maker}")
    return value


def expression_vectors(adapter: Adapter, look: Expression) -> Tensor:
    """What an expression adapter is told, [B, inputs]. Raises FlameMapError for an expression of which nothing tells it."""
    if adapter.kind == FINEFACE:
        return fineface_units(look.coefficients)
    return flame_numbers(look, flame_map(look.smirk) if look.flame is None else None)


def _person_vectors(adapter: Adapter, people: IdentityBatch) -> Tensor:
    """What an identity adapter is told of each person, [B or 1, D]: the person of all pictures once."""
    persons = distinct(people)
    if persons[0].dim != adapter.inputs:
        raise ValueError(f"identity: its embeddings have {persons[0].dim} numbers, {adapter.name} takes {adapter.inputs}")
    return torch.stack([person.raw_mean() if adapter.raw else person.mean() for person in persons])


def _faces(adapter: Adapter, people: IdentityBatch) -> Tensor | None:
    """The aligned face of each person, [B or 1, S, S, 3] in 0..1, for those that look at it."""
    if not adapter.wants_picture:
        return None
    faces = [person.aligned for person in distinct(people)]
    if any(face is None for face in faces):
        raise ValueError(
            f"identity: {adapter.name} looks at the face, and this identity kept none, as it comes from an older file; make it "
            "anew from its photos"
        )
    return torch.stack([face.float() / 255 for face in faces if face is not None])


def distinct(people: IdentityBatch) -> tuple:
    """The people, or the one who is in all pictures."""
    first = people.people[0]
    return (first,) if all(person is first for person in people.people) else people.people


def _add_lora(model: Any, adapter: Adapter, layers: tuple[AttentionLayer, ...], strength: float) -> None:
    """The LoRA that lies in a FaceID file, as weight patches."""
    state = lora_state(adapter, layers)
    if not state:
        return
    patches = comfy.lora.load_lora(state, comfy.lora.model_lora_keys_unet(model.model, {}))
    added = model.add_patches(patches, strength)
    if 2 * len(added) != len(state):
        raise AdapterError(
            f"{adapter.name}: of the {len(state) // 2} LoRA parts in it {len(added)} fit the model; get the file again"
        )


def read_text(clip: Any, prompt: str) -> Text:
    """A prompt by the host's text encoder."""
    context, pooled = clip.encode_from_tokens(clip.tokenize(prompt), return_pooled=True)
    return Text(context, {} if pooled is None else {"pooled_output": pooled})
