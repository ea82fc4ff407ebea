"""Many results on one picture, with labels."""

from __future__ import annotations

from comfy_api.latest import io

from ..sfsr_model.expressions.text import split_entries
from ..sfsr_model.sheet import draw_sheet, result_rows
from .given import checked
from .sockets import CATEGORY, require_images

BESIDE = ("beside_a", "beside_b", "beside_c")


class SFSRSheet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRSheet",
            display_name="Sheet (SFSR)",
            category=CATEGORY,
            description="Lays a batch of results out on one picture, with a label for each, and repeats the person, the target "
            "or any other picture beside them.",
            search_aliases=["contact sheet", "grid", "compare", "label", "caption", "collage", "xy plot", "image grid"],
            inputs=[
                io.Image.Input("images", tooltip="The results."),
                io.String.Input(
                    "labels",
                    default="",
                    multiline=True,
                    tooltip="A line for each result, such as Expression Sweep's labels; empty for none.",
                ),
                io.String.Input(
                    "titles",
                    default="",
                    tooltip="Above the columns of pictures, from the left, with commas between, such as: who, where, result.",
                ),
                io.Int.Input(
                    "in_a_row",
                    default=1,
                    min=1,
                    max=100,
                    tooltip="Results in a row. 1: each has a row of its own, and its label at the left. More: the labels stand "
                    "under the results.",
                ),
                io.Int.Input(
                    "rows",
                    default=0,
                    min=0,
                    max=4096,
                    tooltip="Rows below each other, before the sheet goes on at the right; 0 gives it about the shape of "
                    "a screen.",
                ),
                io.Int.Input(
                    "cell_size",
                    default=128,
                    min=16,
                    max=2048,
                    step=16,
                    tooltip="Longer side of each result on the sheet, in pixels; pictures of another shape are fitted in.",
                ),
                *(
                    io.Image.Input(
                        name,
                        optional=True,
                        tooltip="A picture to repeat in each row, left of the results; or a batch of one for each row.",
                    )
                    for name in BESIDE
                ),
            ],
            outputs=[io.Image.Output("sheet", display_name="sheet", tooltip="The sheet, one picture.")],
        )

    @classmethod
    @checked
    def execute(
        cls,
        images,
        labels: str,
        titles: str,
        in_a_row: int,
        rows: int,
        cell_size: int,
        beside_a=None,
        beside_b=None,
        beside_c=None,
    ) -> io.NodeOutput:
        results = require_images(images, "images")
        given = zip(BESIDE, (beside_a, beside_b, beside_c), strict=True)
        beside = {name: require_images(picture, name) for name, picture in given if picture is not None}
        height, width = results.shape[1:3]
        scale = cell_size / max(height, width)
        cells, names = result_rows(results, [line.strip() for line in labels.strip().splitlines()], in_a_row, **beside)
        return io.NodeOutput(
            draw_sheet(cells, names, split_entries(titles), (max(1, round(width * scale)), max(1, round(height * scale))), rows)
        )


NODES = [SFSRSheet]
