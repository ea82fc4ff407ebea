"""Several people in one batch, one for each frame."""

from __future__ import annotations

from comfy_api.latest import io

from ..sfsr_model.encoders.identity_batch import PEOPLE, join
from .given import checked
from .sockets import CATEGORY, IdentitySocket, require

MOST = 16
NAMES = tuple(f"identity_{number}" for number in range(1, MOST + 1))


class SFSRIdentityBatch(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        template = io.Autogrow.TemplateNames(
            IdentitySocket.Input(
                "identity", tooltip="The person of the next frame, from Identity; a batch adds all of its frames."
            ),
            names=list(NAMES),
            min=2,
        )
        return io.Schema(
            node_id="SFSRIdentityBatch",
            display_name="Identity Batch (SFSR)",
            category=CATEGORY,
            description="Different people in one batch, one a frame: frame 1 shows the first, frame 2 the second.",
            search_aliases=["several people", "list of identities", "join identities", "identity per frame"],
            inputs=[
                io.Autogrow.Input(
                    "identities", template=template, tooltip="One person a frame, in order; a free socket appears for the next."
                ),
                io.Int.Input(
                    "repeats",
                    default=1,
                    min=1,
                    max=4096,
                    advanced=True,
                    tooltip="How many frames in a row show each person before the next one comes.",
                ),
            ],
            outputs=[
                IdentitySocket.Output(
                    "identity",
                    display_name="identity",
                    tooltip="The people, for SFSR Conditioning, the report and the sampler's guidance.",
                )
            ],
        )

    @classmethod
    @checked
    def execute(cls, identities: io.Autogrow.Type, repeats: int) -> io.NodeOutput:
        connected = [require(value, PEOPLE, name, "Identity") for name, value in identities.items() if value is not None]
        return io.NodeOutput(join(connected).repeat(repeats))


NODES = [SFSRIdentityBatch]
