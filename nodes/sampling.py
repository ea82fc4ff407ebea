"""The improved midpoint as a SAMPLER."""

from __future__ import annotations

from comfy_api.latest import io

from ..sfsr_model.schedule import MIDPOINT_LOCATIONS
from .host.sampler import improved_midpoint_sampler
from .sockets import CATEGORY, ExpressionSocket, IDEncoderSocket, IdentitySocket


class ImprovedMidpointSampler(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImprovedMidpointSampler",
            display_name="Improved Midpoint Sampler (SFSR)",
            category=CATEGORY,
            description="A two-evaluation solver that looks again at the middle of each step, with the known background put "
            "back there. For SamplerCustom and SamplerCustomAdvanced; works with any model.",
            search_aliases=["midpoint", "sampler", "dpm", "heun", "diffsfsr"],
            inputs=[
                io.Int.Input(
                    "order",
                    default=2,
                    min=1,
                    max=2,
                    tooltip="2: two model evaluations a step, more exact. 1: one evaluation, the same as DDIM.",
                ),
                io.Combo.Input(
                    "midpoint_location",
                    options=list(MIDPOINT_LOCATIONS),
                    default=MIDPOINT_LOCATIONS[0],
                    tooltip="Where in a step the second look is taken: halfway in log-SNR, halfway in time, or at the fraction "
                    "below.",
                ),
                io.Float.Input(
                    "midpoint_fraction",
                    default=0.5,
                    min=0.1,
                    max=0.9,
                    step=0.05,
                    advanced=True,
                    tooltip="For the location 'custom': the share of the step's log-SNR that lies before the second look.",
                ),
                io.Float.Input(
                    "background_anchoring",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="How firmly the target outside the mask is put back before each evaluation. Needs a latent with a "
                    "noise mask, as SFSR Conditioning gives.",
                ),
                io.Float.Input(
                    "eta",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    advanced=True,
                    tooltip="Fresh noise a step: 0 is deterministic, 1 as much as an ancestral sampler.",
                ),
                io.Float.Input(
                    "identity_guidance",
                    default=0.0,
                    min=0.0,
                    max=10.0,
                    step=0.1,
                    advanced=True,
                    tooltip="Pulls each estimate towards the identity by the recogniser's gradient; 0 is off. Costs a decoding "
                    "and a backward pass a step.",
                ),
                io.Float.Input(
                    "expression_guidance",
                    default=0.0,
                    min=0.0,
                    max=10.0,
                    step=0.1,
                    advanced=True,
                    tooltip="Pulls each estimate towards the expression by the expression encoder's gradient; 0 is off.",
                ),
                io.Float.Input(
                    "guidance_start",
                    default=0.3,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    advanced=True,
                    tooltip="Share of the run at which the two guidances above begin.",
                ),
                io.Float.Input(
                    "guidance_end",
                    default=0.8,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    advanced=True,
                    tooltip="Share of the run at which the two guidances above end.",
                ),
                IDEncoderSocket.Input("id_encoder", optional=True, tooltip="The recogniser that identity guidance uses."),
                IdentitySocket.Input("identity", optional=True, tooltip="The person that identity guidance pulls towards."),
                ExpressionSocket.Input(
                    "expression", optional=True, tooltip="The expression that expression guidance pulls towards."
                ),
                io.Vae.Input("vae", optional=True, tooltip="The autoencoder through which both guidances look."),
            ],
            outputs=[
                io.Sampler.Output("sampler", display_name="sampler", tooltip="For SamplerCustom and SamplerCustomAdvanced.")
            ],
        )

    @classmethod
    def execute(
        cls,
        order: int,
        midpoint_location: str,
        midpoint_fraction: float,
        background_anchoring: float,
        eta: float,
        identity_guidance: float,
        expression_guidance: float,
        guidance_start: float,
        guidance_end: float,
        id_encoder=None,
        identity=None,
        expression=None,
        vae=None,
    ) -> io.NodeOutput:
        for name, amount in (("identity_guidance", identity_guidance), ("expression_guidance", expression_guidance)):
            if amount > 0.0:
                raise NotImplementedError(
                    f"{name}: found {amount}, but guidance needs differentiable encoders, which this version of the pack does "
                    "not have yet; set it to 0"
                )
        return io.NodeOutput(improved_midpoint_sampler(order, midpoint_location, midpoint_fraction, background_anchoring, eta))


NODES = [ImprovedMidpointSampler]
