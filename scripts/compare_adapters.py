"""Adapters in ComfyUI by this pack, and by diffusers or by their formula written out: how far the two are apart.

python scripts/compare_adapters.py --comfyui FOLDER [--true-size]

In a Python that can run that ComfyUI and has diffusers. Random weights of the true layouts, in networks of Stable Diffusion
1.5's and SDXL's block structure but slim, on the CPU and in float32. Each row runs the whole of ComfyUI's sampling path, with
conditions as SFSR Conditioning makes them, at classifier-free guidance of 3. Prints the largest differences, as a share of the
largest value, as Markdown; 1 where one is above 1e-4.

--true-size: two of the rows at Stable Diffusion 1.5's own size, 860 million weights on both sides; some minutes and 10 GB.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.in_process import difference, open_host, pack, print_differences, stand_in

CFG = 3.0
# Of random weights the whole LoRA makes a network in which rounding grows a thousandfold.
_LORA = 0.2
_CONTROL = 0.6
_STEPS = (30, 500, 900)
_LATENT = 16
_PEOPLE = 2
_SHARED = {
    "image_size": 32, "use_spatial_transformer": True, "legacy": False, "use_checkpoint": False, "in_channels": 4,
    "out_channels": 4, "model_channels": 64,
}  # fmt: skip
SLIM = {
    "sd15": _SHARED | {
        "num_res_blocks": [1, 1, 1], "channel_mult": [1, 2, 2], "transformer_depth": [1, 1, 0],
        "transformer_depth_output": [1, 1, 1, 1, 0, 0], "transformer_depth_middle": 1, "context_dim": 96,
        "use_linear_in_transformer": False, "adm_in_channels": None,
    },
    "sdxl": _SHARED | {
        "num_res_blocks": [1, 1, 1], "channel_mult": [1, 2, 4], "transformer_depth": [0, 2, 3],
        "transformer_depth_output": [0, 0, 2, 2, 3, 3], "transformer_depth_middle": 3, "context_dim": 128,
        "use_linear_in_transformer": True, "adm_in_channels": 2816, "num_classes": "sequential",
    },
}  # fmt: skip
"""Arguments of the latent diffusion UNetModel: the block structure of both, slim."""


def main(arguments: list[str]) -> int:
    """Print the table; 1 for a difference above the tolerance or bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, required=True, help="folder of a ComfyUI")
    parser.add_argument("--true-size", action="store_true", help="Stable Diffusion 1.5 at its own size")
    options = parser.parse_args(arguments)
    try:
        open_host(options.comfyui)
        return print_differences(compare_true_size() if options.true_size else compare())
    except (ValueError, OSError, ImportError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


def compare() -> dict[str, float]:
    """Largest relative differences by what was compared."""
    import torch

    kinds = pack("sfsr_model.adapters.kinds")
    cases = [
        ("FaceID", "sd15", kinds.FACEID, None),
        ("FaceID plus", "sd15", kinds.FACEID_PLUS, None),
        ("FaceID plusv2", "sdxl", kinds.FACEID_PLUS, None),
        ("portrait", "sd15", kinds.PORTRAIT, None),
        ("FaceID", "sdxl", kinds.FACEID, None),
        ("portrait unnorm", "sdxl", kinds.PORTRAIT_UNNORM, None),
        ("InstantID's tokens", "sdxl", kinds.INSTANTID, None),
        ("InstantID with its ControlNet", "sdxl", kinds.INSTANTID, None),
        ("FineFace", "sd15", None, kinds.FINEFACE),
        ("Expression Adapter", "sd15", None, kinds.FLAME_EXPRESSION),
        ("portrait and FineFace", "sd15", kinds.PORTRAIT, kinds.FINEFACE),
    ]
    with torch.inference_mode():
        return {
            f"{title}, {base}": _compared(base, SLIM[base], identity, expression, "v2" in title, "ControlNet" in title)
            for title, base, identity, expression in cases
        }


def compare_true_size() -> dict[str, float]:
    """As `compare`, of a file with a LoRA inside and of two streams, in Stable Diffusion 1.5's own network."""
    import torch

    layout, kinds = pack("sfsr_model.network.layout"), pack("sfsr_model.adapters.kinds")
    config = replace(layout.SD15_INPAINTING, in_channels=layout.LATENT_CHANNELS).ldm_arguments
    cases = [("FaceID", kinds.FACEID, None), ("portrait and FineFace", kinds.PORTRAIT, kinds.FINEFACE)]
    with torch.inference_mode():
        return {f"{title}, true size": _compared("sd15", config, *files, False, False) for title, *files in cases}


def _compared(
    base: str, config: Mapping[str, Any], identity: str | None, expression: str | None, shortcut: bool, controlled: bool
) -> float:
    import torch

    generator = torch.Generator().manual_seed(0)
    reference = _diffusers_unet(config)
    model = _host_model(base, config, reference)
    chosen = {"identity": (identity, 0.7), "expression": (expression, 0.9)}
    adapters = {stream: stand_in(kind, config, dtype=torch.float32) for stream, (kind, _) in chosen.items() if kind is not None}
    scales = {stream: scale for stream, (_, scale) in chosen.items()}
    people, look = _people(generator), _look(generator)
    host = pack("nodes.host.adapters")
    loaded = {
        stream: host.load_adapter(adapter, shortcut, _ClipVision() if adapter.wants_picture else None)
        for stream, adapter in adapters.items()
    }
    text = {name: torch.randn(1, 7, config["context_dim"], generator=generator) for name in ("wanted", "unwanted")}
    pooled = torch.randn(1, 1280, generator=generator)
    entries = {"pooled_output": pooled} if base == "sdxl" else {}
    texts = [host.Text(one, entries) for one in text.values()]
    control_net = _control_net(config) if controlled else None
    others = {} if control_net is None else {"control": host.PointsControl(control_net, _CONTROL)}
    made = host.with_adapters(model, loaded.get("identity"), loaded.get("expression"), texts, 0, _LORA, **others)
    points = torch.rand(_PEOPLE, 5, 2, generator=generator) * _LATENT * 8
    conditions = _conditions(made, people, look, scales, points)
    tokens = {
        stream: _reference_tokens(adapter, people if stream == "identity" else look, shortcut)
        for stream, adapter in adapters.items()
    }
    layers = pack("sfsr_model.adapters.layers").attention_layers(config)
    if "identity" in adapters:
        _add_lora(reference, adapters["identity"], layers)
    attention = {
        stream: {layer.name: adapter.keys_values[layer.number] for layer in layers} for stream, adapter in adapters.items()
    }
    latent = torch.randn(_PEOPLE, 4, _LATENT, _LATENT, generator=generator)
    sigmas = made.model.model_sampling.sigmas
    found = []
    for step in _STEPS:
        sigma = float(sigmas[step])
        theirs = _host_denoised(made, conditions, latent, sigma)
        predicted = []
        for place, name in enumerate(("wanted", "unwanted")):
            added = [(attention[stream], told[place], scales[stream]) for stream, told in tokens.items()]
            _install_reference(reference, added)
            extra = _sdxl_conditions(pooled) if base == "sdxl" else None
            x = latent / (sigma**2 + 1) ** 0.5
            context = text[name].expand(_PEOPLE, -1, -1)
            control = {}
            if control_net is not None:
                control = _controlled(control_net, made.model, x, step, tokens["identity"][place], points, pooled)
            asked = {"added_cond_kwargs": extra, "return_dict": False, **control}
            noise = reference(x, torch.tensor(step), context, **asked)[0]
            predicted.append(latent - sigma * noise)
        wanted, unwanted = predicted
        found.append(difference(unwanted + CFG * (wanted - unwanted), theirs))
    return max(found)


# The host's half, by this pack.


def _host_model(base: str, config: Mapping[str, Any], unet: Any) -> Any:
    """ComfyUI's own model around these weights."""
    import comfy.model_base
    import comfy.model_patcher
    import comfy.supported_models
    import comfy.utils
    import torch

    family = {"sd15": comfy.supported_models.SD15, "sdxl": comfy.supported_models.SDXL}[base]
    settings = family(dict(config))
    settings.set_inference_dtype(torch.float32, None)
    model = (comfy.model_base.SDXL if base == "sdxl" else comfy.model_base.BaseModel)(settings, device=torch.device("cpu"))
    names = comfy.utils.unet_to_diffusers(dict(config))
    state = unet.state_dict()
    model.diffusion_model.load_state_dict({ours: state[theirs] for theirs, ours in names.items() if theirs in state})
    return comfy.model_patcher.CoreModelPatcher(model, load_device=torch.device("cpu"), offload_device=torch.device("cpu"))


def _people(generator: Any) -> Any:
    import torch

    identity = pack("sfsr_model.encoders.identity")
    faces = torch.randint(
        0, 256, (_PEOPLE, identity.PORTRAIT_SIDE, identity.PORTRAIT_SIDE, 3), generator=generator, dtype=torch.uint8
    )
    persons = [
        identity.Identity(
            torch.randn(1, 512, generator=generator), "random", (1.0,), ("random",), lengths=(20.0 + 3 * row,), aligned=face
        )
        for row, face in enumerate(faces)
    ]
    return pack("sfsr_model.encoders.identity_batch").IdentityBatch(tuple(persons))


def _look(generator: Any) -> Any:
    import torch

    expressions = pack("sfsr_model.expressions")
    flame = pack("sfsr_model.expressions.flame").clamp_flame(torch.randn(_PEOPLE, 55, generator=generator))
    return expressions.Expression(torch.rand(_PEOPLE, 52, generator=generator), flame=flame)


def _control_net(config: Mapping[str, Any]) -> Any:
    """The host's ControlNet for such a network, of random weights."""
    import copy

    import comfy.cldm.cldm
    import comfy.controlnet
    import torch

    sizes = copy.deepcopy(dict(config)) | {"hint_channels": 3, "num_head_channels": 64, "num_heads": -1}
    sizes.pop("out_channels")
    network = comfy.cldm.cldm.ControlNet(**sizes, dtype=torch.float32, device="cpu").eval()
    generator = torch.Generator().manual_seed(4)
    for parameter in network.parameters():
        scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return comfy.controlnet.ControlNet(network, load_device=torch.device("cpu"))


def _conditions(model: Any, people: Any, look: Any, scales: Mapping[str, float], points: Any) -> tuple[list, list]:
    """Positive and negative, as SFSR Conditioning makes them, with the patches in the model."""
    streams = pack("nodes.host.streams")
    given = streams.attachment(model)
    asked = streams.Asked(people, look, (_LATENT, _LATENT), points)
    acting = [streams.Acting(scales["identity"]), streams.Acting(scales["expression"])]
    given.check(asked)
    given.install(model, *acting)
    null = [streams.Acting(one.weight, on=False) for one in acting]
    pair = pack("nodes.host.conditioning").as_pair
    return [pair(given.given(asked, *acting), {})], [pair(given.given(asked, *null, prompt=False), {})]


def _host_denoised(model: Any, conditions: tuple[list, list], latent: Any, sigma: float) -> Any:
    """x0 of a noisy latent by the host's whole path."""
    study = pack("nodes.host.study")
    clean = {"samples": model.model.process_latent_out(latent)}

    def once(denoise: Any, seen: Any, _mask: Any) -> Any:
        return denoise(seen, sigma)

    return study.with_denoiser(model, *conditions, CFG, clean, 0, 1, once)


# The reference's half.


def _diffusers_unet(config: Mapping[str, Any]) -> Any:
    """diffusers' UNet of the same structure, with random weights."""
    import torch
    from diffusers import UNet2DConditionModel

    torch.manual_seed(1)
    residuals = config["num_res_blocks"][0]
    depths = config["transformer_depth"][::residuals]  # alike within a level
    cross = [bool(depth) for depth in depths]
    widths = [config["model_channels"] * factor for factor in config["channel_mult"]]
    sdxl = config["adm_in_channels"] is not None
    return UNet2DConditionModel(
        block_out_channels=widths,
        layers_per_block=residuals,
        down_block_types=["CrossAttnDownBlock2D" if one else "DownBlock2D" for one in cross],
        up_block_types=["CrossAttnUpBlock2D" if one else "UpBlock2D" for one in cross[::-1]],
        transformer_layers_per_block=[max(1, depth) for depth in depths] if sdxl else 1,
        cross_attention_dim=config["context_dim"],
        # The host gives SD 1.5 eight heads at every level, and SDXL heads of 64 channels.
        attention_head_dim=[width // 64 for width in widths] if sdxl else 8,
        use_linear_projection=config["use_linear_in_transformer"],
        addition_embed_type="text_time" if sdxl else None,
        addition_time_embed_dim=256 if sdxl else None,
        projection_class_embeddings_input_dim=config["adm_in_channels"],
    ).eval()


def _reference_tokens(adapter: Any, told: Any, shortcut: bool) -> tuple[Any, Any]:
    """Tokens of what is told, and of nothing; of FaceID's kinds by diffusers' own classes."""
    import torch

    kinds = pack("sfsr_model.adapters.kinds")
    if adapter.stream == "expression":
        vectors = (
            told.flame
            if adapter.kind == kinds.FLAME_EXPRESSION
            else pack("sfsr_model.adapters.action_units").fineface_units(told.coefficients)
        )
    else:
        vectors = torch.stack([one.raw_mean() if adapter.raw else one.embeddings[0] for one in told.people])
    project = _projection(adapter, shortcut)
    faces = mean = None
    if adapter.wants_picture:
        clip = _ClipVision()
        faces = clip.features(torch.stack([one.aligned for one in told.people]).float() / 255)
        mean = clip.features(torch.tensor(clip.image_mean).expand(_PEOPLE, 224, 224, 3))
    return project(vectors, faces), project(torch.zeros_like(vectors), mean)


def _projection(adapter: Any, shortcut: bool) -> Callable[[Any, Any], Any]:
    from diffusers.models.embeddings import IPAdapterFaceIDImageProjection, IPAdapterFaceIDPlusImageProjection

    kinds = pack("sfsr_model.adapters.kinds")
    weights = adapter.projection
    if adapter.kind in (kinds.FACEID, kinds.PORTRAIT, kinds.FLAME_EXPRESSION):
        hidden, inputs = weights["proj.0.weight"].shape
        module = IPAdapterFaceIDImageProjection(
            image_embed_dim=inputs, cross_attention_dim=adapter.context_dim, mult=hidden // inputs, num_tokens=adapter.tokens
        )
        module.load_state_dict(
            {key.replace("proj.0", "ff.net.0.proj").replace("proj.2", "ff.net.2"): value for key, value in weights.items()}
        )
        return lambda vectors, _: module(vectors)
    if adapter.kind == kinds.FACEID_PLUS:
        return _plus(IPAdapterFaceIDPlusImageProjection, adapter, shortcut)
    # Proved against their formulae in the unit tests of the projections; here the way into the network counts.
    module = pack("sfsr_model.adapters.projections").projection_of(adapter)
    return lambda vectors, _: module(vectors)


def _plus(kind: Any, adapter: Any, shortcut: bool) -> Callable[[Any, Any], Any]:
    """diffusers' projection for plus, with its weights in diffusers' names."""
    from diffusers.loaders.unet import UNet2DConditionLoadersMixin

    module = UNet2DConditionLoadersMixin()._convert_ip_adapter_image_proj_to_diffusers(
        dict(adapter.projection), low_cpu_mem_usage=False
    )
    assert isinstance(module, kind)
    module.shortcut = shortcut

    def project(vectors: Any, features: Any) -> Any:
        module.clip_embeds = features[:, None]
        return module(vectors[:, None]).reshape(len(vectors), -1, adapter.context_dim)

    return project


class _ClipVision:
    """A stand-in for a picture encoder: what it says is a fixed function of the picture. Both halves ask the same one."""

    image_size, image_mean = 224, (0.48145466, 0.4578275, 0.40821073)

    def features(self, pictures: Any) -> Any:
        import torch

        generator = torch.Generator().manual_seed(9)
        mixed = torch.randn(3, 1280, generator=generator)
        small = torch.nn.functional.adaptive_avg_pool2d(pictures.movedim(-1, 1), (257, 1))[..., 0].movedim(1, -1)
        return small @ mixed

    def encode_image(self, pictures: Any) -> dict[str, Any]:
        return {"penultimate_hidden_states": self.features(pictures)}


def _install_reference(unet: Any, added: list) -> None:
    """Attention in which each stream's is added before the output projection."""

    class Processor:
        def __init__(self, path: str) -> None:
            self.path = path

        def __call__(
            self, attn: Any, hidden: Any, encoder_hidden_states: Any = None, attention_mask: Any = None, **_: Any
        ) -> Any:
            context = hidden if encoder_hidden_states is None else encoder_hidden_states
            q = attn.to_q(hidden)
            out = _attend(q, attn.to_k(context), attn.to_v(context), attn.heads)
            if encoder_hidden_states is not None:
                for weights, tokens, scale in added:
                    key, value = (tokens @ weight.T for weight in weights[self.path])
                    out = out + scale * _attend(q, key, value, attn.heads)
            return attn.to_out[0](out)

    unet.set_attn_processor({name: Processor(name.removesuffix(".processor")) for name in unet.attn_processors})


def _attend(q: Any, k: Any, v: Any, heads: int) -> Any:
    from einops import rearrange

    q, k, v = (rearrange(one, "b n (h d) -> b h n d", h=heads) for one in (q, k, v))
    weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
    return rearrange(weights @ v, "b h n d -> b n (h d)")


def _controlled(net: Any, model: Any, x: Any, step: int, tokens: Any, points: Any, pooled: Any) -> dict[str, Any]:
    """What a ControlNet that attends to the tokens adds to diffusers' network."""
    import torch

    side = _LATENT * 8
    hint = torch.stack([drawn_by_the_authors(one.tolist(), side) for one in points]).movedim(-1, 1)
    size = model.encode_adm(pooled_output=pooled, width=side, height=side).expand(_PEOPLE, -1)
    found = net.control_model(x=x, hint=hint, timesteps=torch.full((_PEOPLE,), float(step)), context=tokens, y=size)
    return {
        "down_block_additional_residuals": [_CONTROL * one for one in found["output"]],
        "mid_block_additional_residual": _CONTROL * found["middle"][0],
    }


def drawn_by_the_authors(points: list, side: int) -> Any:
    """Five points as InstantID's authors draw them: each limb on a copy, dimmed, then discs of radius 10."""
    import math

    import cv2
    import numpy as np
    import torch

    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255)]
    picture = np.zeros([side, side, 3])
    for limb in ([0, 2], [1, 2], [3, 2], [4, 2]):
        xs, ys = np.array(points)[limb].T
        length = math.sqrt((xs[0] - xs[1]) ** 2 + (ys[0] - ys[1]) ** 2)
        angle = math.degrees(math.atan2(ys[0] - ys[1], xs[0] - xs[1]))
        polygon = cv2.ellipse2Poly((int(xs.mean()), int(ys.mean())), (int(length / 2), 4), int(angle), 0, 360, 1)
        picture = cv2.fillConvexPoly(picture.copy(), polygon, colours[limb[0]])
    picture = (picture * 0.6).astype(np.uint8)
    for (x, y), colour in zip(points, colours, strict=True):
        picture = cv2.circle(picture.copy(), (int(x), int(y)), 10, colour, -1)
    return torch.from_numpy(picture).float() / 255


def _add_lora(unet: Any, adapter: Any, layers: Any) -> None:
    """W + strength * up @ down, of every attention that the file has one for."""
    modules = dict(unet.named_modules())
    for layer in layers:
        for number, path in ((layer.number, layer.name), (layer.number - 1, layer.name.removesuffix("2") + "1")):
            for part, (down, up) in adapter.lora.get(number, {}).items():
                modules[f"{path}.{part}"].weight += _LORA * (up @ down)


def _sdxl_conditions(pooled: Any) -> dict[str, Any]:
    import torch

    side = float(_LATENT * 8)
    return {
        "text_embeds": pooled.expand(_PEOPLE, -1),
        "time_ids": torch.tensor([[side, side, 0.0, 0.0, side, side]]).expand(_PEOPLE, -1),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
