"""The portraits that come with the pack, so that every bundled workflow runs before the first upload."""

from __future__ import annotations

from comfy_api.latest import io

from ..sfsr_model.samples import load_sample, sample_names
from .given import checked
from .sockets import CATEGORY, require_images


class SFSRSamplePortrait(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        names = sample_names()
        return io.Schema(
            node_id="SFSRSamplePortrait",
            display_name="Portrait (SFSR)",
            category=CATEGORY,
            description="A sample portrait that shows no real person; connect Load Image to use a photo of your own instead.",
            search_aliases=["sample face", "example portrait", "selfie"],
            inputs=[
                io.Combo.Input(
                    "sample",
                    options=names,
                    default=names[0],
                    tooltip="A portrait that comes with the pack; used while nothing is connected to 'image'.",
                ),
                io.Image.Input(
                    "image", optional=True, tooltip="Your own picture, from Load Image. It takes the sample's place."
                ),
            ],
            outputs=[io.Image.Output("image_out", display_name="image", tooltip="The portrait.")],
        )

    @classmethod
    @checked
    def execute(cls, sample: str, image=None) -> io.NodeOutput:
        return io.NodeOutput(load_sample(sample) if image is None else require_images(image, "image"))


NODES = [SFSRSamplePortrait]
