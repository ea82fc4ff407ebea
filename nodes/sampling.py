"""The improved midpoint as a SAMPLER."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..sfsr_model.encoders.identity import same_space
from ..sfsr_model.encoders.identity_batch import PEOPLE, per_frame
from ..sfsr_model.expressions import PARTS, Expression, part_mask
from ..sfsr_model.face import FaceFrame
from ..sfsr_model.guidance import MEASURES, STEP_SIZES, ExpressionEnergy, IdentityEnergy, Term, face_place
from ..sfsr_model.schedule import MIDPOINT_LOCATIONS
from .face import require_frames
from .given import checked
from .host.decoders import AUTOMATIC, DECODERS
from .host.network import require_vae
from .host.sampler import GuideOptions, SolverOptions, guided_midpoint_sampler, improved_midpoint_sampler
from .identity import ENCODERS
from .sockets import (
    CATEGORY,
    ExpressionEncoderSocket,
    ExpressionSocket,
    FaceFrameSocket,
    IDEncoderSocket,
    IdentitySocket,
    require,
    require_expression_encoder,
)

WHOLE_FACE = "whole face"


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
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    advanced=True,
                    tooltip="Fresh noise a step: 1, as much as an ancestral sampler, is what the bundled network needs; 0 is "
                    "deterministic.",
                ),
                io.Float.Input(
                    "identity_guidance",
                    default=0.0,
                    min=0.0,
                    max=10.0,
                    step=0.1,
                    advanced=True,
                    tooltip="Pulls each estimate towards the person by the recogniser's gradient; 0 is off. Each step of its "
                    "part of the run then costs a decoding, the recogniser, and a pass back through both.",
                ),
                io.Float.Input(
                    "expression_guidance",
                    default=0.0,
                    min=0.0,
                    max=10.0,
                    step=0.1,
                    advanced=True,
                    tooltip="Pulls each estimate towards the expression by the expression encoder's gradient; 0 is off. "
                    "Costs like identity guidance; the two share the decoding.",
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
                ExpressionEncoderSocket.Input(
                    "expression_encoder", optional=True, tooltip="What reads the expression for expression guidance."
                ),
                FaceFrameSocket.Input(
                    "face",
                    optional=True,
                    tooltip="Where the face is, from Face Crop, for both guidances: in its crop, or in the whole picture where "
                    "that is sampled; without it the place that the crop aims at.",
                ),
                io.Combo.Input(
                    "decoder",
                    options=list(DECODERS),
                    default=AUTOMATIC,
                    optional=True,
                    advanced=True,
                    tooltip="How both guidances see an estimate: the face's part alone through the vae, the whole, or the "
                    "host's tiny decoder (TAESD in models/vae_approx). Automatic: tiny where it is there, else face only.",
                ),
                io.Combo.Input(
                    "step_size",
                    options=list(STEP_SIZES),
                    default=STEP_SIZES[0],
                    optional=True,
                    advanced=True,
                    tooltip="What the two guidances are shares of: what is open at this noise level, times the way to the "
                    "goal; or the correction that the cfg makes in this step (0.1 to 0.3 is usual; takes a cfg above 1).",
                ),
                io.Int.Input(
                    "rounds",
                    default=1,
                    min=1,
                    max=8,
                    optional=True,
                    advanced=True,
                    tooltip="How often each guided step is made; in between fresh noise leads back up. Every round costs one.",
                ),
                io.Int.Input(
                    "looks",
                    default=1,
                    min=1,
                    max=16,
                    optional=True,
                    advanced=True,
                    tooltip="Looks at the face that each gradient is the mean of: as it is, and random small crops, half of "
                    "them mirrored. More make it harder to please the encoder without likeness.",
                ),
                io.Combo.Input(
                    "energy",
                    options=list(MEASURES),
                    default=MEASURES[0],
                    optional=True,
                    advanced=True,
                    tooltip="What is made small: 1 - cosine and the mean difference of coefficients, or the length of the "
                    "residual, in which the largest differences weigh most.",
                ),
                io.Combo.Input(
                    "expression_parts",
                    options=[WHOLE_FACE, *PARTS],
                    default=WHOLE_FACE,
                    optional=True,
                    advanced=True,
                    tooltip="The part of the face that expression guidance cares for.",
                ),
                io.Float.Input(
                    "enough_identity",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    advanced=True,
                    tooltip="Cosine to the person at which identity guidance leaves a picture alone; where all agree, guidance "
                    "ends. 1: never.",
                ),
                io.Float.Input(
                    "enough_expression",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.005,
                    optional=True,
                    advanced=True,
                    tooltip="Energy of the expression, as a rule the mean difference of coefficients, at which expression "
                    "guidance leaves a picture alone; where all agree, guidance ends. 0: never.",
                ),
            ],
            outputs=[
                io.Sampler.Output("sampler", display_name="sampler", tooltip="For SamplerCustom and SamplerCustomAdvanced.")
            ],
        )

    @classmethod
    @checked
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
        expression_encoder=None,
        face=None,
        decoder: str = AUTOMATIC,
        step_size: str = STEP_SIZES[0],
        rounds: int = 1,
        looks: int = 1,
        energy: str = MEASURES[0],
        expression_parts: str = WHOLE_FACE,
        enough_identity: float = 1.0,
        enough_expression: float = 0.0,
    ) -> io.NodeOutput:
        options = SolverOptions(order, midpoint_location, midpoint_fraction, background_anchoring, eta)
        frames = None if face is None else require_frames(face)
        vae = None if vae is None else require_vae(vae)
        terms = []
        with torch.inference_mode(False):
            if identity_guidance > 0.0:
                _connected("identity_guidance", identity_guidance, vae=vae, identity=identity, id_encoder=id_encoder)
                person = _identity_energy(identity, id_encoder, frames, energy)
                terms.append(Term(identity_guidance, person, person.at_cosine(enough_identity)))
            if expression_guidance > 0.0:
                _connected(
                    "expression_guidance",
                    expression_guidance,
                    vae=vae,
                    expression=expression,
                    expression_encoder=expression_encoder,
                )
                look = _expression_energy(expression, expression_encoder, frames, energy, expression_parts)
                terms.append(Term(expression_guidance, look, enough_expression))
        if not terms:
            return io.NodeOutput(improved_midpoint_sampler(options))
        if guidance_end < guidance_start:
            raise ValueError(
                f"guidance_end: found {guidance_end:g}, which is before guidance_start ({guidance_start:g}), so that "
                "none would act; raise guidance_end, or set both guidances to 0"
            )
        guiding = GuideOptions(guidance_start, guidance_end, step_size, rounds, looks, decoder)
        return io.NodeOutput(guided_midpoint_sampler(options, vae, terms, guiding))


_MAKERS = {
    "vae": "Load SFSR Model",
    "identity": "Identity",
    "id_encoder": "Load ID Encoder",
    "expression": "Expression Embed",
    "expression_encoder": "Load Expression Encoder",
}


def _connected(guidance: str, scale: float, **inputs: Any) -> None:
    """Raises ValueError naming what the guidance lacks."""
    for name, value in inputs.items():
        if value is None:
            raise ValueError(
                f"{guidance}: found {scale:g}, but {name} is not connected; connect the output of {_MAKERS[name]}, or set "
                f"{guidance} to 0"
            )


def _identity_energy(identity: Any, id_encoder: Any, frames: tuple[FaceFrame, ...] | None, measure: str) -> IdentityEnergy:
    people = per_frame(require(identity, PEOPLE, "identity", _MAKERS["identity"]))
    encoder = require(id_encoder, ENCODERS, "id_encoder", _MAKERS["id_encoder"])
    same_space(people.people[0], "identity", encoder.space, f"the connected encoder {encoder.name}")
    return IdentityEnergy(encoder.differentiable(), people.means(), face_place(frames), measure)


def _expression_energy(
    expression: Any, expression_encoder: Any, frames: tuple[FaceFrame, ...] | None, measure: str, parts: str
) -> ExpressionEnergy:
    look = require(expression, Expression, "expression", _MAKERS["expression"])
    encoder = require_expression_encoder(expression_encoder)
    chosen = None if parts == WHOLE_FACE else part_mask(parts)
    return ExpressionEnergy(encoder.differentiable(), look, face_place(frames), measure, chosen)


NODES = [ImprovedMidpointSampler]
