"""DiffSFSR for ComfyUI: one person's identity, any expression, in a given portrait."""

from .nodes import comfy_entrypoint as comfy_entrypoint

WEB_DIRECTORY = "./web"
