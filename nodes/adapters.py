"""A stock checkpoint that takes a person and an expression through adapters."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io, ui

from ..sfsr_model.adapters.adapter import AdapterError
from ..sfsr_model.adapters.kinds import EXPRESSION, IDENTITY, INSTANTID, default_shortcut
from ..sfsr_model.naming import naming
from .given import checked
from .host.adapter_files import NONE, adapter_files, adapter_names, adapter_path, load_adapter_file
from .host.adapters import (
    PersonInPrompt,
    PointsControl,
    load_adapter,
    read_text,
    require_of_host,
    require_unet,
    told_of,
    with_adapters,
)
from .host.checks import LATENT_FACTOR
from .host.folders import fingerprint
from .sockets import CATEGORY, require_masks, told_beforehand

IN_PROMPT = "arc2face (model and clip themselves)"
_NO_FILES = (NONE, IN_PROMPT)
PLUS_VERSIONS = BY_NAME, PLUS, PLUS_V2 = ("by the file's name", "plus", "plusv2")


def _adapter_input(stream: str, tooltip: str, *others: str) -> io.Combo.Input:
    return io.Combo.Input(f"{stream}_adapter", options=[*adapter_names(), *others], default=NONE, tooltip=tooltip)


class SFSRModelFromAdapters(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRModelFromAdapters",
            display_name="SFSR Model from Adapters",
            category=CATEGORY,
            description="Makes a model for SFSR Conditioning of your own Stable Diffusion 1.5 or SDXL checkpoint: one adapter "
            "file gives it the person, another the expression. Takes the place of Load SFSR Model.",
            search_aliases=["ipadapter", "faceid", "instantid", "fineface", "arc2face", "adapter", "sd15", "sdxl"],
            inputs=[
                io.Model.Input("model", tooltip="From Load Checkpoint: Stable Diffusion 1.5 or SDXL, plain or inpainting."),
                io.Clip.Input("clip", tooltip="From the same node; it reads the two prompts."),
                _adapter_input(
                    IDENTITY,
                    "What gives the person: IP-Adapter FaceID, plus, plusv2 or portrait (needs buffalo_l in Load ID Encoder), "
                    "InstantID (antelopev2). From models/ipadapter, models/instantid or models/sfsr. The last choice is for "
                    "Arc2Face's network and text encoder in model and clip, which need no adapter (arcface.onnx).",
                    IN_PROMPT,
                ),
                _adapter_input(
                    EXPRESSION,
                    "What gives the expression, for Stable Diffusion 1.5: FineFace's au_encoder, with its attn_processors "
                    "beside it, or the Expression Adapter of Arc2Face. From the same folders.",
                ),
                io.String.Input(
                    "prompt",
                    default="a photo of a person's face",
                    multiline=True,
                    dynamic_prompts=True,
                    tooltip="What else the picture shows; person and expression come from their own inputs.",
                ),
                io.String.Input(
                    "unwanted",
                    default="blurry, deformed, painting",
                    multiline=True,
                    dynamic_prompts=True,
                    tooltip="The negative prompt.",
                ),
                io.Float.Input(
                    "lora_strength",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    optional=True,
                    tooltip="Of the LoRA inside a FaceID file; no separate LoRA file is needed. Its authors use 1, others 0.6.",
                ),
                io.Int.Input(
                    "size",
                    default=0,
                    min=0,
                    max=2048,
                    step=8,
                    optional=True,
                    advanced=True,
                    tooltip="Side of the crops that the checkpoint likes, in pixels: set Face Crop to it. 0: 512 for Stable "
                    "Diffusion 1.5, 1024 for SDXL.",
                ),
                io.Combo.Input(
                    "plus_version",
                    options=list(PLUS_VERSIONS),
                    default=BY_NAME,
                    optional=True,
                    advanced=True,
                    tooltip="FaceID plus and plusv2 have the same entries; where a file was renamed, say which it is.",
                ),
                io.ClipVision.Input(
                    "clip_vision", optional=True, tooltip="CLIP ViT-H/14 from Load CLIP Vision, for FaceID plus and plusv2."
                ),
                io.ControlNet.Input(
                    "control_net",
                    optional=True,
                    tooltip="InstantID's ControlNet from Load ControlNet Model; SFSR Conditioning then wants the face of Face "
                    "Crop.",
                ),
                io.Float.Input(
                    "control_strength",
                    default=0.8,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    optional=True,
                    advanced=True,
                    tooltip="Of InstantID's ControlNet; its authors use 0.8, and less where colours are too strong.",
                ),
                io.Mask.Input(
                    "region", optional=True, tooltip="Where in the crop person and expression act; without it everywhere."
                ),
            ],
            outputs=[
                io.Model.Output("model", display_name="model", tooltip="For SFSR Conditioning; the VAE is the checkpoint's."),
                io.String.Output(
                    "info",
                    display_name="info",
                    tooltip="Which file gives what, under which licence, and what is left out; connect Preview as Text to read "
                    "it.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, identity_adapter: str | None = None, expression_adapter: str | None = None) -> bool | str:
        """As Load ID Encoder's."""
        for label, name in (("identity_adapter", identity_adapter), ("expression_adapter", expression_adapter)):
            told = told_beforehand(lambda one, label=label: one in _NO_FILES or adapter_path(one, label), name)
            if told is not True:
                return told
        return True

    @classmethod
    def fingerprint_inputs(
        cls, identity_adapter: str | None = None, expression_adapter: str | None = None, **_: Any
    ) -> str | float:
        names = [name for name in (identity_adapter, expression_adapter) if name and name not in _NO_FILES]
        return fingerprint(
            ", ".join(names) or NONE, lambda _: [file for name in names for file in adapter_files(name, "adapter")]
        )

    @classmethod
    @checked
    def execute(
        cls,
        model,
        clip,
        identity_adapter: str,
        expression_adapter: str,
        prompt: str,
        unwanted: str,
        lora_strength: float = 1.0,
        size: int = 0,
        plus_version: str = BY_NAME,
        clip_vision=None,
        control_net=None,
        control_strength: float = 0.8,
        region=None,
    ) -> io.NodeOutput:
        require_unet(model)
        require_of_host("clip", clip)
        if identity_adapter == expression_adapter == NONE:
            raise ValueError("identity_adapter, expression_adapter: both are 'none'; choose at least one file")
        identity = expression = None
        if size % LATENT_FACTOR:
            raise ValueError(f"size: found {size}, expected a multiple of {LATENT_FACTOR}, or 0")
        others: dict[str, Any] = {}
        if identity_adapter == IN_PROMPT:
            others["in_prompt"] = PersonInPrompt(clip)
        elif identity_adapter != NONE:
            found = load_adapter_file(identity_adapter, "identity_adapter", IDENTITY)
            shortcut = default_shortcut(found.name) if plus_version == BY_NAME else plus_version == PLUS_V2
            if clip_vision is not None:
                require_of_host("clip_vision", clip_vision)
            identity = load_adapter(found, shortcut, clip_vision)
        if expression_adapter != NONE:
            expression = load_adapter(load_adapter_file(expression_adapter, "expression_adapter", EXPRESSION))
        if control_net is not None:
            require_of_host("control_net", control_net)
            if identity is None or identity.adapter.kind != INSTANTID:
                raise ValueError(
                    "control_net: it goes with InstantID's adapter alone; choose that in identity_adapter, or connect other "
                    "ControlNets with Apply ControlNet behind SFSR Conditioning"
                )
            others["control"] = PointsControl(control_net, control_strength)
        if region is not None:
            extent = tuple(getattr(region, "shape", ())[-2:])
            with naming("region", (TypeError, ValueError)):
                others["region"] = require_masks(region, extent, 1, "one picture", "connect a single mask")
        try:
            texts = read_text(clip, prompt), read_text(clip, unwanted)
            made = with_adapters(model, identity, expression, texts, size, lora_strength, **others)
        except AdapterError as error:
            raise AdapterError(f"model: {error}") from error
        info = told_of(made)
        return io.NodeOutput(made, info, ui=ui.PreviewText(info))


NODES = [SFSRModelFromAdapters]
