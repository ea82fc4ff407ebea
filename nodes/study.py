"""Each estimator's x0* side by side."""

from __future__ import annotations

import json
from typing import Any

import torch
from comfy_api.latest import io, ui

from ..sfsr_model.estimators.levels import noise_levels
from ..sfsr_model.estimators.sheet import error_maps, grid, mse_plot, require_matplotlib
from ..sfsr_model.estimators.study import figures, study
from .given import checked
from .host.network import metadata_of, require_vae_of
from .host.study import to_latent, with_denoiser
from .sockets import CATEGORY, require_conditioning, require_latent

EVALUATIONS = 7  # of the model, a level


class SFSREstimatorStudy(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSREstimatorStudy",
            display_name="Estimator Study (SFSR)",
            category=CATEGORY,
            description="Adds noise to the target and shows what each estimator of x0* makes of it, at chosen noise levels: "
            "pictures, maps of the error, the plot of the error and the figures. The truth is the target itself.",
            search_aliases=["midpoint", "x0", "mse plot", "compare estimators", "denoise once", "diffsfsr"],
            inputs=[
                io.Model.Input("model", tooltip="The conditioned model, from SFSR Conditioning."),
                io.Vae.Input("vae", tooltip="The autoencoder that belongs to the model; it draws the pictures."),
                io.Conditioning.Input("positive", tooltip="From SFSR Conditioning."),
                io.Conditioning.Input("negative", tooltip="From SFSR Conditioning; not used at cfg 1."),
                io.Latent.Input(
                    "latent", tooltip="The target's latent with its mask, from SFSR Conditioning: the truth to come back to."
                ),
                io.String.Input(
                    "levels",
                    default="0.5, 2, 8",
                    tooltip="Noise levels (sigma), such as 0.5, 2, 8; or a whole number alone, such as 4: so many levels, "
                    f"evenly spaced in time. {EVALUATIONS} model evaluations a level.",
                ),
                io.Float.Input(
                    "cfg",
                    default=1.0,
                    min=0.0,
                    max=30.0,
                    step=0.1,
                    tooltip="The guider's scale. 1 is the conditioned prediction alone, which training looks at.",
                ),
                io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, tooltip="Of the noise that is added."),
            ],
            outputs=[
                io.Image.Output(
                    "sheet",
                    display_name="sheet",
                    tooltip="x0* decoded: a row for each noise level, a column for each estimator.",
                ),
                io.Image.Output("errors", display_name="errors", tooltip="Where each differs from the target; white is most."),
                io.Image.Output("plot", display_name="plot", tooltip="Mean squared error against the noise level."),
                io.String.Output("figures", display_name="figures", tooltip="All figures as JSON."),
            ],
            is_output_node=True,
        )

    @classmethod
    @checked
    def execute(
        cls, model, vae, positive, negative, latent: dict[str, Any], levels: str, cfg: float, seed: int
    ) -> io.NodeOutput:
        metadata = metadata_of(model)
        require_vae_of(model, vae)
        for name, conditioning in (("positive", positive), ("negative", negative)):
            require_conditioning(conditioning, name, metadata.unet.context_dim)
        require_matplotlib()
        sigmas = noise_levels(levels)
        latent = require_latent(latent, "latent", metadata.unet.out_channels)

        def use(denoise, clean, hole):
            return study(denoise, clean, hole, sigmas, seed)

        rows = with_denoiser(model, positive, negative, cfg, latent, seed, EVALUATIONS * len(sigmas), use)
        plot = mse_plot(rows)
        names = list(rows[0].estimates)
        target = _first_picture(vae, latent["samples"])
        pictures = [
            [_first_picture(vae, to_latent(model, row.estimates[name][:1])["samples"]) for name in names] for row in rows
        ]
        captions = [f"sigma {row.sigma:.3g}" for row in rows]
        sheet = grid([[target, *row] for row in pictures], captions, ["target", *names])
        maps, largest = error_maps(pictures, target)
        errors = grid(maps, [f"{text}, white {largest:.2f}" for text in captions], names)
        about = {"seed": seed, "cfg": cfg, "pictures": len(latent["samples"]), "trained": metadata.trained}
        text = json.dumps(figures(rows, **about), indent=2)
        return io.NodeOutput(sheet, errors, plot, text, ui=ui.PreviewText(text))


def _first_picture(vae: Any, samples: torch.Tensor) -> torch.Tensor:
    return vae.decode(samples[:1])[0]


NODES = [SFSREstimatorStudy]
