"""Portraits and films: those that come with the pack, so that bundled workflows run before any upload, and the user's own."""

from __future__ import annotations

from comfy_api.latest import InputImpl, io

from ..sfsr_model.samples import film_names, load_sample, sample_names
from .given import checked
from .host.film_names import chosen_film, input_films
from .host.folders import fingerprint
from .host.pictures import load_picture, picture_names, picture_path
from .sockets import CATEGORY, require_images, told_beforehand


class SFSRSamplePortrait(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        names = sample_names()
        return io.Schema(
            node_id="SFSRSamplePortrait",
            display_name="Portrait (SFSR)",
            category=CATEGORY,
            description="A picture of a face: your own photo, or a sample portrait that shows no real person.",
            search_aliases=["sample face", "example portrait", "selfie", "my photo", "upload"],
            inputs=[
                io.Combo.Input(
                    "sample",
                    display_name="portrait",
                    options=[*names, *picture_names()],
                    default=names[0],
                    upload=io.UploadType.image,
                    tooltip="A portrait that comes with the pack, or a picture of yours: upload it, or drop it on the node. "
                    "Used while nothing is connected to 'image'.",
                ),
                io.Image.Input(
                    "image", optional=True, tooltip="A picture that another node makes. It takes the place of the chosen one."
                ),
            ],
            outputs=[io.Image.Output("image_out", display_name="image", tooltip="The portrait.")],
        )

    @classmethod
    def validate_inputs(cls, sample: str | None = None) -> bool | str:
        """Takes the place of the host's own list check, which does not know of a picture in a folder of the input folder."""
        return told_beforehand(_files, sample)

    @classmethod
    def fingerprint_inputs(cls, sample: str | None, **_) -> str | float:
        return fingerprint(sample, _files)

    @classmethod
    @checked
    def execute(cls, sample: str, image=None) -> io.NodeOutput:
        if image is not None:
            return io.NodeOutput(require_images(image, "image", alpha=True))
        if sample in sample_names():
            return io.NodeOutput(load_sample(sample))
        return io.NodeOutput(require_images(load_picture(sample, "sample"), "sample"))


class SFSRSampleFilm(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRSampleFilm",
            display_name="Film (SFSR)",
            category=CATEGORY,
            description="A film with a face in it: your own, or a sample that shows no real person.",
            search_aliases=["sample video", "load video", "driving video", "my film", "upload"],
            inputs=[
                io.Combo.Input(
                    "sample",
                    display_name="film",
                    options=[*film_names(), *input_films()],  # no default: the first is what a fresh node shows
                    upload=io.UploadType.video,
                    tooltip="A film that comes with the pack, or one of yours: upload it, or drop it on the node.",
                )
            ],
            outputs=[io.Video.Output("video", display_name="video", tooltip="The film, sound included.")],
        )

    @classmethod
    def validate_inputs(cls, sample: str | None = None) -> bool | str:
        """Takes the place of the host's own list check, which does not know of a film in a folder of the input folder."""
        return told_beforehand(lambda name: chosen_film(name, "sample"), sample)

    @classmethod
    def fingerprint_inputs(cls, sample: str | None) -> str | float:
        return fingerprint(sample, lambda name: [chosen_film(name, "sample")])

    @classmethod
    @checked
    def execute(cls, sample: str) -> io.NodeOutput:
        return io.NodeOutput(InputImpl.VideoFromFile(str(chosen_film(sample, "sample"))))


def _files(name: str) -> list:
    """The files of the user that a name stands for: none for a sample, which comes with the pack."""
    return [] if name in sample_names() else [picture_path(name, "sample")]


NODES = [SFSRSamplePortrait, SFSRSampleFilm]
