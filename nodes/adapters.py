"""A stock checkpoint that takes a person and an expression through adapters."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..sfsr_model.adapters.adapter import AdapterError
from ..sfsr_model.adapters.kinds import EXPRESSION, IDENTITY, default_shortcut
from .given import checked
from .host.adapter_files import NONE, adapter_files, adapter_names, adapter_path, load_adapter_file
from .host.adapters import load_adapter, read_text, require_unet, with_adapters
from .host.folders import fingerprint
from .sockets import CATEGORY, require_masks, told_beforehand

PLUS_VERSIONS = BY_NAME, PLUS, PLUS_V2 = ("by the file's name", "plus", "plusv2")


def _adapter_input(stream: str, tooltip: str) -> io.Combo.Input:
    return io.Combo.Input(f"{stream}_adapter", options=adapter_names(), default=NONE, tooltip=tooltip)


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
                    "InstantID (antelopev2). From models/ipadapter, models/instantid or models/sfsr.",
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
                io.Mask.Input(
                    "region", optional=True, tooltip="Where in the crop person and expression act; without it everywhere."
                ),
            ],
            outputs=[
                io.Model.Output("model", display_name="model", tooltip="For SFSR Conditioning; the VAE is the checkpoint's.")
            ],
        )

    @classmethod
    def validate_inputs(cls, identity_adapter: str | None = None, expression_adapter: str | None = None) -> bool | str:
        """As Load ID Encoder's."""
        for label, name in (("identity_adapter", identity_adapter), ("expression_adapter", expression_adapter)):
            told = told_beforehand(lambda one, label=label: one == NONE or adapter_path(one, label), name)
            if told is not True:
                return told
        return True

    @classmethod
    def fingerprint_inputs(
        cls, identity_adapter: str | None = None, expression_adapter: str | None = None, **_: Any
    ) -> str | float:
        names = [name for name in (identity_adapter, expression_adapter) if name and name != NONE]
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
        region=None,
    ) -> io.NodeOutput:
        require_unet(model)
        if identity_adapter == expression_adapter == NONE:
            raise ValueError("identity_adapter, expression_adapter: both are 'none'; choose at least one file")
        identity = expression = None
        if identity_adapter != NONE:
            found = load_adapter_file(identity_adapter, "identity_adapter", IDENTITY)
            shortcut = default_shortcut(found.name) if plus_version == BY_NAME else plus_version == PLUS_V2
            identity = load_adapter(found, shortcut, clip_vision)
        if expression_adapter != NONE:
            expression = load_adapter(load_adapter_file(expression_adapter, "expression_adapter", EXPRESSION))
        where = None
        if region is not None:
            where = require_masks(
                region, tuple(region.shape[-2:]), 1, "one picture", "connect a single mask as large as the crop"
            )
        try:
            texts = read_text(clip, prompt), read_text(clip, unwanted)
            made = with_adapters(model, identity, expression, texts, size, lora_strength, where)
        except AdapterError as error:
            raise AdapterError(f"model: {error}") from error
        return io.NodeOutput(made)


NODES = [SFSRModelFromAdapters]
