"""Keeping identities: saving one to a file, and loading it again."""

from __future__ import annotations

from comfy_api.latest import io, ui

from ..sfsr_model.encoders.identity import Identity
from ..sfsr_model.encoders.identity_file import load_identity, save_identity
from ..sfsr_model.naming import naming
from .given import checked
from .host.folders import fingerprint, identity_names, identity_path, new_identity_path
from .sockets import CATEGORY, IdentitySocket, require, told_beforehand


class SFSRSaveIdentity(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRSaveIdentity",
            display_name="Save Identity (SFSR)",
            category=CATEGORY,
            description="Saves a person as a small safetensors file in ComfyUI's output folder, under identities. No picture "
            "is in it, but a recogniser can find the person with it: treat it like a photo of them.",
            search_aliases=["save face", "face model", "save embedding"],
            inputs=[
                IdentitySocket.Input("identity", tooltip="The person to keep, from Identity."),
                io.String.Input(
                    "name",
                    default="person",
                    tooltip="Start of the file's name; a number follows, nothing is overwritten. A / makes a subfolder.",
                ),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    @checked
    def execute(cls, identity, name: str) -> io.NodeOutput:
        person = require(identity, Identity, "identity", "Identity")
        path = new_identity_path(name)
        save_identity(person, path)
        return io.NodeOutput(ui=ui.PreviewText(f"{path.name}: {_described(person)}"))


class SFSRLoadIdentity(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRLoadIdentity",
            display_name="Load Identity (SFSR)",
            category=CATEGORY,
            description="A person that Save Identity wrote, from the output folder or from models/sfsr/identities; or a sample "
            "that comes with the pack.",
            search_aliases=["load face", "face model", "load embedding"],
            inputs=[
                io.Combo.Input(
                    "identity",
                    options=identity_names(),
                    tooltip="A file in models/sfsr/identities, one of those saved to the output folder, or the bundled sample. "
                    "Refresh the page (key R) after saving.",
                )
            ],
            outputs=[
                IdentitySocket.Output(
                    "identity_out", display_name="identity", tooltip="The person, for SFSR Conditioning and the report."
                ),
                io.String.Output(
                    "info", display_name="info", tooltip="How many photos it was made of, from where, and its embedding space."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, identity: str | None = None) -> bool | str:
        """Takes the place of the host's own list check, which knows a file in a folder by one spelling alone."""
        return told_beforehand(identity_path, identity)

    @classmethod
    def fingerprint_inputs(cls, identity: str | None) -> str | float:
        return fingerprint(identity, lambda name: [identity_path(name)])

    @classmethod
    @checked
    def execute(cls, identity: str) -> io.NodeOutput:
        path = identity_path(identity)
        with naming("identity"):
            person = load_identity(path)
        info = _described(person)
        return io.NodeOutput(person, info, ui=ui.PreviewText(info))


def _described(person: Identity) -> str:
    count = len(person.sources)
    return f"{count} photo{'' if count == 1 else 's'}, space {person.space}\n" + "\n".join(person.sources)


NODES = [SFSRSaveIdentity, SFSRLoadIdentity]
