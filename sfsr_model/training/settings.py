"""A training run's settings: one YAML file, checked by pydantic before anything is loaded."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ..estimators import estimator
from ..network.layout import LATENT_CHANNELS, UNetConfig

Count = Annotated[int, Field(gt=0)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
ENCODER_TASKS = ("recogniser", "expression", "detector", "points")
_GROUPS = 32  # of channels, that the UNet's layers normalise together


class SettingsError(ValueError):
    """A settings file that cannot be used; the message names the file and the entry and what was expected."""


def _usable_estimator(name: str) -> str:
    if estimator(name).bound:
        raise ValueError(f"{name} looks at the truth, so it is a bound to compare with and cannot train")
    return name


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="after")
    @classmethod
    def _from_the_files_folder(cls, value: Any, info: ValidationInfo) -> Any:
        folder = (info.context or {}).get("folder")
        return folder / value.expanduser() if isinstance(value, Path) and folder is not None else value


class Data(_Section):
    """Where the pictures come from.

    kind: "rendered" (path: the renderer's cache file, rendered on the fly), "shards" (path: a folder of rendered triplets) or
    "photos" (path: a folder that the photos command prepared). count: samples of a rendered set. size: pixels of an aligned
    crop's side. workers: processes that load them. memory: decode shards once and keep them, 0.3 MB a triplet of 128 pixels.
    """

    path: Path
    kind: Literal["rendered", "shards", "photos"] = "rendered"
    count: Count = 100_000
    size: Annotated[int, Field(gt=0, multiple_of=8)] = 128
    seed: Seed = 0
    workers: Annotated[int, Field(ge=0)] = 0
    memory: bool = False

    @model_validator(mode="after")
    def _only_shards_are_decoded(self) -> Data:
        if self.memory and self.kind != "shards":
            raise ValueError(f"memory: only data of kind shards can be kept decoded, kind is {self.kind}; leave memory out")
        return self


class Photos(_Section):
    """Labelled photos that the tasks of encoders and detectors learn from beside the renders of `data`.

    path: a store that the labelled command prepared. batch: how many a step takes; of its faces the share batch / (batch + 4
    times the triplets) are photos. sources: those of the photos' index to take, all where none are named: whoever wants no real
    people leaves theirs out. teacher: whose vectors the recogniser learns to give. asked: that teacher's ONNX, which then says
    of half of the photos anew whom they show, blended with others.
    """

    path: Path
    batch: Count = 96
    sources: tuple[str, ...] = ()
    teacher: str | None = None
    asked: Path | None = None


class Optimiser(_Section):
    """AdamW. warmup: steps over which the rate rises; it then falls to a tenth along a cosine. ema: the average's decay."""

    rate: Positive = 2e-4
    warmup: Annotated[int, Field(ge=0)] = 500
    weight_decay: Amount = 0.01
    clip: Positive = 1.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.9995


class Network(_Section):
    """The UNet's sizes (see `UNetConfig`), the compound encoder's, and a checkpoint to start from where there is one.

    initial: an SFSR checkpoint, or one of Stable Diffusion 1.5 for inpainting, as safetensors.
    """

    model_channels: Annotated[int, Field(gt=0, multiple_of=_GROUPS)] = UNetConfig.model_channels
    channel_mult: Annotated[tuple[Count, ...], Field(min_length=1)] = UNetConfig.channel_mult
    num_res_blocks: Count = UNetConfig.num_res_blocks
    attention: tuple[bool, ...] = UNetConfig.attention
    context_dim: Count = UNetConfig.context_dim
    num_heads: Annotated[int, Field(ge=-1)] = UNetConfig.num_heads
    latent_channels: Count = LATENT_CHANNELS
    tokens_per_stream: Count = 4
    balanced: bool = True
    prediction: Literal["eps", "v"] = "eps"
    gradient_checkpointing: bool = False
    initial: Path | None = None

    @property
    def unet(self) -> UNetConfig:
        """The same sizes as the checkpoint's metadata give them."""
        return UNetConfig(
            model_channels=self.model_channels,
            channel_mult=self.channel_mult,
            num_res_blocks=self.num_res_blocks,
            attention=self.attention,
            context_dim=self.context_dim,
            num_heads=self.num_heads,
            in_channels=2 * self.latent_channels + 1,
            out_channels=self.latent_channels,
        )

    @model_validator(mode="after")
    def _levels_and_heads_agree(self) -> Network:
        if len(self.attention) != len(self.channel_mult):
            raise ValueError(
                f"attention has {len(self.attention)} entries, channel_mult {len(self.channel_mult)}; give one for each level"
            )
        if self.num_heads != -1 and (self.num_heads == 0 or self.model_channels % self.num_heads):
            raise ValueError(
                f"num_heads: found {self.num_heads}; expected a divisor of model_channels ({self.model_channels}), or -1 for "
                f"heads of {UNetConfig.head_channels} channels"
            )
        return self


class Losses(_Section):
    """Weights of the losses; 0 leaves one out.

    weighting, outside: see `losses.diffusion`. identity, expression, perceptual, background: on the decoded x0*, found by
    `estimator` with the policy `gradient`, on `share` of the batch, at noise levels up to `highest_sigma`.
    identity_drop, expression_drop: how often a stream is replaced by its null; pose_drop: how often the pose alone is.
    cross: which part of that share takes identity and expression of other photos, where the data are photos. walked: in how
    many steps the network itself walks from pure noise to the noise level of such an example, so that no face shows in it
    but its own; 0 takes the photo's noised latent. realism: that a critic of latents, trained along, takes x0* for true, at
    noise levels up to `realism_sigma`, above which it is rightly blurred. latent, colour: the autoencoder's, which keep its
    latents small and its hues right.
    """

    weighting: Literal["uniform", "min_snr"] = "min_snr"
    outside: Share = 0.25
    identity: Amount = 0.0
    expression: Amount = 0.0
    perceptual: Amount = 0.0
    background: Amount = 0.0
    realism: Amount = 0.0
    realism_sigma: Positive = 2.0
    estimator: Annotated[str, AfterValidator(_usable_estimator)] = "improved_midpoint"
    gradient: Literal["full", "last"] = "last"
    share: Share = 0.25
    highest_sigma: Positive = 3.0
    identity_drop: Share = 0.1
    expression_drop: Share = 0.1
    pose_drop: Share = 0.3
    cross: Share = 0.5
    walked: Annotated[int, Field(ge=0)] = 0
    latent: Amount = 1e-3
    colour: Amount = 0.0

    @property
    def on_pictures(self) -> bool:
        """Whether any loss looks at x0*."""
        return self.share > 0 and any((self.identity, self.expression, self.perceptual, self.background, self.realism))


class Codec(_Section):
    """How the autoencoder is trained.

    channels: of its latents. crop: side in pixels of the square cut out of each picture anew at every step; left out, whole
    pictures. thin: leave out the blocks that cost most (see `TinyAutoencoder`). noise: deviation of the noise on what the
    decoder sees, as a share of the latents' own, so that it learns to bear what a diffusion network leaves. shuffled: share of
    the pictures whose colour channels change places, so that hues cannot be guessed. initial: weights exported
    before; channels that they lack are added. decoder_only: leave the encoder of `initial` as it is, and its latents valid.
    """

    channels: Count = LATENT_CHANNELS
    crop: Annotated[int, Field(gt=0, multiple_of=8)] | None = None
    thin: bool = False
    noise: Amount = 0.0
    shuffled: Share = 0.0
    initial: Path | None = None
    decoder_only: bool = False

    @model_validator(mode="after")
    def _has_an_encoder(self) -> Codec:
        if self.decoder_only and self.initial is None:
            raise ValueError("decoder_only: there is no encoder to leave as it is; give initial, an exported autoencoder")
        return self


class Encoders(_Section):
    """Frozen networks. identity: an ONNX file or pack, or none to take the rendered person's own vector.
    likeness: another recogniser for the identity loss to look through, which knows more than one small enough to carry along.
    expression: a face_landmarker.task or this project's expression encoder as ONNX, for the expression loss."""

    identity: Path | None = None
    likeness: Path | None = None
    expression: Path | None = None


class Encoder(_Section):
    """The network that the tasks recogniser, expression and points train.

    architecture: "residual", "wide" (the same with twice the weights, most of them where maps are small, and rectifiers without
    any) or "plain" (without shortcuts, less than half of the work): an encoder that judges should be of another kind than those
    that condition. initial: an exported encoder of the same task and architecture to train on from.
    errors: of an expression's coefficients: "absolute", or "squared" as a share of each one's variance.
    """

    architecture: Literal["residual", "wide", "plain"] = "residual"
    initial: Path | None = None
    errors: Literal["absolute", "squared"] = "absolute"


class Settings(_Section):
    """A whole run. state: folder of what resuming needs. latents: folder of the encoded data, which runs on the same data may
    share; left out, one in the state folder. autoencoder: weights that the sfsr task encodes with; left out, those
    of `network.initial`. save_every: steps between states, of which the two newest stay; keep_every: between those that
    stay for good, 0 for none. about, licence: what the exported checkpoint says of its training data and of its use.
    """

    task: Literal["autoencoder", "sfsr", "recogniser", "expression", "detector", "points"]
    data: Data
    state: Path
    latents: Path | None = None
    steps: Count = 10_000
    batch: Count = 32
    seed: Seed = 0
    # YAML reads a bare no as false.
    precision: Annotated[Literal["no", "fp16", "bf16"], BeforeValidator(lambda value: "no" if value is False else value)] = "no"
    save_every: Count = 500
    keep_every: Annotated[int, Field(ge=0)] = 0
    sample_every: Count = 1_000
    log_every: Count = 25
    autoencoder: Path | None = None
    about: str = ""
    licence: str = "Apache-2.0"
    photos: Photos | None = None
    optimiser: Optimiser = Optimiser()
    network: Network = Network()
    codec: Codec = Codec()
    losses: Losses = Losses()
    encoder: Encoder = Encoder()
    encoders: Encoders = Encoders()

    @model_validator(mode="after")
    def _has_what_its_task_needs(self) -> Settings:
        if self.task in ENCODER_TASKS and self.data.kind == "photos":
            raise ValueError(f"task: {self.task} learns from rendered triplets; choose data.kind rendered or shards")
        if self.photos is not None and self.data.kind == "photos":
            raise ValueError(
                "photos: they stand beside rendered data; leave the section out, or choose data.kind rendered or shards"
            )
        if self.photos is not None and (self.task == "recogniser") != (self.photos.teacher is not None):
            raise ValueError("photos.teacher: the task recogniser needs one, and no other task takes one")
        if self.codec.crop is not None and self.codec.crop > self.data.size:
            raise ValueError(f"codec.crop: found {self.codec.crop}; expected at most data.size, {self.data.size}")
        if self.task == "sfsr" and self.autoencoder is None and self.network.initial is None:
            raise ValueError("autoencoder: the task sfsr needs one; train it first with the task autoencoder")
        multiple = self.network.unet.picture_multiple
        if self.task == "sfsr" and self.data.size % multiple:
            raise ValueError(
                f"data.size: found {self.data.size}; expected a multiple of {multiple}, for network's levels to halve"
            )
        if self.losses.expression and self.encoders.expression is None:
            raise ValueError(
                "encoders.expression: the expression loss needs a face_landmarker.task or an expression encoder's ONNX"
            )
        if self.task == "sfsr" and self.photos is not None and None in (self.encoders.identity, self.encoders.expression):
            raise ValueError("encoders: photos are read by them; give encoders.identity and encoders.expression")
        if self.losses.identity and self.encoders.identity is None and self.encoders.likeness is None:
            raise ValueError("encoders.identity: the identity loss needs a recogniser's ONNX")
        return self


def changes_of(texts: Sequence[str]) -> dict[str, str]:
    """Entries and values of texts such as "optimiser.rate=1e-4"; raises SettingsError for another text."""
    changes = {}
    for text in texts:
        entry, separator, value = text.partition("=")
        if not separator:
            raise SettingsError(f"--set {text}: expected ENTRY=VALUE")
        changes[entry] = value
    return changes


def load_settings(path: Path, changes: dict[str, str] | None = None) -> Settings:
    """Read a YAML file; changes: dotted entry to YAML text, such as {"optimiser.rate": "0.0001"}.

    Relative paths are taken from the file's folder. Raises SettingsError naming the file and the entry.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise SettingsError(f"{path}: holds no entries, found {values!r}; expected lines such as 'task: sfsr'")
        for entry, text in (changes or {}).items():
            _put(values, entry, yaml.safe_load(text))
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: no such file; expected a YAML file, as sfsr_model/training/configs has them") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: cannot be read as YAML entries ({' '.join(str(error).split())})") from error
    try:
        return Settings.model_validate(values, context={"folder": path.parent})
    except ValidationError as error:
        raise SettingsError(f"{path}: {'; '.join(map(_sentence, error.errors()))}") from None


def _put(values: dict[str, Any], entry: str, value: Any) -> None:
    *sections, last = entry.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise SettingsError(f"--set {entry}: {section} holds {values!r}, which has no entries of its own")
    values[last] = value


def _sentence(error: Any) -> str:
    where = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        section: Any = Settings
        for part in error["loc"][:-1]:
            section = section.model_fields[part].annotation
        names = list(section.model_fields)
        close = difflib.get_close_matches(str(error["loc"][-1]), names, 1)
        return f"{where}: there is no such entry; " + (f"did you mean {close[0]}?" if close else f"expected {', '.join(names)}")
    text = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing" or isinstance(error["input"], dict):
        return f"{where}: {text}" if where else text
    return f"{where}: {text}, found {error['input']!r}"
