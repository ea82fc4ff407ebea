"""What an ONNX file of this project says of itself: its task, what it learned from and from whom, its licence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from .onnx_files import inspect_onnx

PROJECT = "SFSR for ComfyUI"


@dataclass(frozen=True)
class About:
    """task: as a training run names it. about: data and teachers. licence: or what else its use is bound to."""

    task: str
    about: str
    licence: str

    @property
    def origin(self) -> str:
        """For people, in one line."""
        return f"{self.about}; licence: {self.licence}"

    def to_strings(self) -> dict[str, str]:
        """The file's `metadata_props`."""
        return {"project": PROJECT} | asdict(self)

    @classmethod
    def from_strings(cls, strings: Mapping[str, str]) -> About | None:
        """None for the metadata of another project, or where an entry is missing."""
        names = [field.name for field in fields(cls)]
        if strings.get("project") != PROJECT or not all(strings.get(name) for name in names):
            return None
        return cls(**{name: " ".join(strings[name].split()) for name in names})


def read_about(path: Path) -> About | None:
    """What the file says; None where it says nothing. Raises whatever the package onnx raises for what is no ONNX file."""
    return About.from_strings(dict(inspect_onnx(path).metadata))


def origins(files: Mapping[Path, str]) -> str:
    """Where files come from, a line for each. files: the text for one that says nothing of it, "" to leave it out."""
    lines = []
    for file, silent in files.items():
        about = read_about(file)
        if text := silent if about is None else about.origin:
            lines.append(f"{file.name}: {text}")
    return "\n".join(lines)
