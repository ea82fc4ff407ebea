"""A throw-away pack that adds to a model's cross-attentions, and asks for its place, as the known packs for IP-Adapters do."""

import torch
from comfy.ldm.modules.attention import optimized_attention

# What their lists of blocks come to on Stable Diffusion 1.5; the last is a place that the host never asks for.
PLACES = [*((side, number) for side in ("input", "output") for number in range(12)), ("middle", 1)]
TOKENS = 4


class Added:
    """The object that those packs put into a place, and ask to add where one is there."""

    def __init__(self, callback, **told):
        self.callbacks = [(callback, told)]

    def add(self, callback, **told):
        self.callbacks.append((callback, told))

    def __call__(self, q, k, v, extra_options):
        out = optimized_attention(q, k, v, extra_options["n_heads"])
        sigma = extra_options["sigmas"][0].item()
        for callback, told in self.callbacks:
            if told["sigma_end"] <= sigma <= told["sigma_start"]:
                out = out + callback(out, q, k, v, extra_options, **told)
        return out.to(q.dtype)


def attend(out, q, k, v, extra_options, weight, tokens, sigma_start, sigma_end):
    """Tokens of its own, others for the wanted condition than for the unwanted, which it tells by the host's numbers."""
    numbers = extra_options["cond_or_uncond"]
    each = len(q) // len(numbers)
    width = q.shape[-1]
    told = torch.cat([tokens[number, :, :width].expand(each, -1, -1) for number in numbers]).to(q)
    return weight * optimized_attention(q, told, told.flip(1), extra_options["n_heads"])


class NeighbourAdapter:
    """A model to which another pack's adapter adds."""

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "apply"
    CATEGORY = "neighbour"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "weight": ("FLOAT", {"default": 1.0})}}

    def apply(self, model, weight):
        model = model.clone()
        tokens = torch.randn(2, TOKENS, 1280, generator=torch.Generator().manual_seed(7))
        told = {"weight": weight, "tokens": tokens, "sigma_start": 999999999.9, "sigma_end": 0.0}
        for place in PLACES:
            options = model.model_options["transformer_options"]
            there = options.get("patches_replace", {}).get("attn2", {})
            if place in there:
                there[place].add(attend, **told)
            else:
                model.set_model_attn2_replace(Added(attend, **told), *place)
        return (model,)


NODE_CLASS_MAPPINGS = {"NeighbourAdapter": NeighbourAdapter}
