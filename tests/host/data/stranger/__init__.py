"""A throw-away pack whose nodes give anything under any type's name.

It also takes the folder of recognisers for itself, as packs do that know nothing of others.
"""

from pathlib import Path

import folder_paths

from .things import THINGS

folder_paths.folder_names_and_paths["insightface"] = (
    [str(Path(folder_paths.models_dir) / "stranger")],
    folder_paths.supported_pt_extensions,
)


class StrangerThing:
    """One of the things, under the name of every type."""

    RETURN_TYPES = ("*",)
    FUNCTION = "give"
    CATEGORY = "stranger"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"thing": (list(THINGS),)}}

    def give(self, thing):
        return (THINGS[thing](),)


class StrangerLabel:
    """What came in, under the name of every type."""

    RETURN_TYPES = ("*",)
    FUNCTION = "give"
    CATEGORY = "stranger"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("*",)}}

    def give(self, value):
        return (value,)


class StrangerSink:
    """An output node that takes anything, so that what comes before it runs."""

    RETURN_TYPES = ()
    FUNCTION = "take"
    OUTPUT_NODE = True
    CATEGORY = "stranger"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("*",)}}

    def take(self, value):
        return {}


class StrangerTokens:
    """A conditioning without anything but its tokens."""

    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "strip"
    CATEGORY = "stranger"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"conditioning": ("CONDITIONING",)}}

    def strip(self, conditioning):
        return ([[tokens, {}] for tokens, _ in conditioning],)


class StrangerFolder:
    """Two pictures as a list, as nodes hand on what lies in a folder: one by one, each of its own size."""

    RETURN_TYPES = ("IMAGE",)
    OUTPUT_IS_LIST = (True,)
    FUNCTION = "give"
    CATEGORY = "stranger"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"first": ("IMAGE",), "second": ("IMAGE",)}}

    def give(self, first, second):
        return ([first, second],)


class StrangerUnpacked:
    """What a list holds, one by one."""

    RETURN_TYPES = ("IMAGE",)
    OUTPUT_IS_LIST = (True,)
    FUNCTION = "give"
    CATEGORY = "stranger"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("*",)}}

    def give(self, value):
        return (value,)


THEIRS = (StrangerThing, StrangerLabel, StrangerSink, StrangerTokens, StrangerFolder, StrangerUnpacked)
NODE_CLASS_MAPPINGS = {one.__name__: one for one in THEIRS}
