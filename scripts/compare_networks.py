"""The same checkpoint in ComfyUI and in plain PyTorch: how far the two are apart.

python scripts/compare_networks.py --comfyui FOLDER [--checkpoint FILE] [--size PIXELS]

In a Python that can run that ComfyUI and has diffusers. Compares, on the CPU and in float32, the network's estimates of x0 for
epsilon and for v prediction at several noise levels, through ComfyUI's own inpainting path, and the autoencoder's two ways.
Prints the largest differences, as a share of the largest value, as Markdown; 1 where one is above 1e-4.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.in_process import difference, open_host, pack, print_differences

_SIGMAS = (0.05, 0.5, 2.0, 14.0)


def main(arguments: list[str]) -> int:
    """Print the table; 1 for a difference above TOLERANCE or bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, required=True, help="folder of a ComfyUI")
    parser.add_argument("--checkpoint", type=Path, help="(default: untrained weights of the demo's size)")
    parser.add_argument("--size", type=int, default=128, help="pixels of the pictures (128)")
    options = parser.parse_args(arguments)
    try:
        open_host(options.comfyui)
        network = pack("sfsr_model.network")
        checkpoint = (
            network.untrained_checkpoint() if options.checkpoint is None else network.load_checkpoint(options.checkpoint)
        )
        found = compare(checkpoint, options.size)
    except (ValueError, OSError, ImportError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return print_differences(found)


def compare(checkpoint: Any, size: int) -> dict[str, float]:
    """Largest relative differences by what was compared."""
    import torch

    host = pack("nodes.host.network")
    plain = pack("sfsr_model.evaluation.network")
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand((2, size, size, 3), generator=generator)
    mask = torch.zeros(2, size, size)
    # A ramp, so that resized values lie between 0 and 1 and their rounding counts.
    mask[:, size // 4 : size // 2 + 3] = torch.linspace(-0.2, 1.2, size).clamp(0, 1)
    found = {}
    with torch.inference_mode():
        for prediction in ("eps", "v"):
            one = replace(checkpoint, metadata=replace(checkpoint.metadata, prediction=prediction))
            network, patcher, vae = plain.Network(one), host.build_model(one), host.build_vae(one)
            if prediction == "eps":
                found |= _autoencoder(network, vae, picture)
            found[f"x0 from {prediction}"] = _estimates(network, patcher, vae, picture, mask, generator)
    return found


def _autoencoder(network: Any, vae: Any, picture: Any) -> dict[str, float]:
    factor = pack("sfsr_model.network.layout").HOST_FACTOR
    latents = network.encode(picture)
    return {
        "latents": difference(vae.encode(picture) * factor, latents),
        "decoded pictures": difference(vae.decode(latents / factor), network.decode(latents)),
    }


def _estimates(network: Any, patcher: Any, vae: Any, picture: Any, mask: Any, generator: Any) -> float:
    """The network's denoiser against the host's model with what the host's conditioning makes of picture and mask."""
    import torch

    faceless = pack("sfsr_model.face.faceless").without_face
    config = network.metadata.compound
    identity = torch.nn.functional.normalize(torch.randn((2, config.identity_dim), generator=generator), dim=1)
    expression = torch.rand((2, config.expression_dim), generator=generator)
    pose = 0.3 * torch.randn((2, 3), generator=generator)
    shown = network.surroundings(picture, mask)
    noise = torch.randn(shown.known.shape, generator=generator)
    plain = pack("sfsr_model.evaluation.network").Guidance(1.0, 1.0)
    denoise = network.denoiser(identity, expression, pose, shown, plain)
    model = patcher.model
    tokens = _tokens(patcher, identity, expression, pose, mask)
    extra = model.extra_conds(
        noise=noise, device=noise.device, cross_attn=tokens, concat_mask=mask[:, None],
        concat_latent_image=vae.encode(faceless(picture, mask)),
    )  # fmt: skip
    conditions = {name: value.process_cond(batch_size=2, device=noise.device, area=None).cond for name, value in extra.items()}
    differences = []
    for sigma in _SIGMAS:
        x = shown.known + sigma * noise
        theirs = model.apply_model(x, torch.full((2,), sigma), **conditions)
        differences.append(difference(theirs, denoise(x, sigma)))
    return max(differences)


def _tokens(patcher: Any, identity: Any, expression: Any, pose: Any, mask: Any) -> Any:
    """The compound encoder's, by the host's half of the pack."""
    streams, people = pack("nodes.host.streams"), pack("sfsr_model.encoders.identity_batch")
    person = pack("sfsr_model.encoders.identity").Identity
    batch = people.IdentityBatch(tuple(person(one[None], "random", (1.0,), ("random",)) for one in identity))
    look = pack("sfsr_model.expressions").Expression(expression, pose)
    asked = streams.Asked(batch, look, tuple(side // 8 for side in mask.shape[1:]))
    return streams.attachment(patcher).given(asked, streams.Acting(1.0), streams.Acting(1.0)).context


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
