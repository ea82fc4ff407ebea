"""Which ONNX Runtime is really there.

The packages `onnxruntime` (CPU) and `onnxruntime-gpu` write into one folder, and the one installed last overwrites the
other; pip then still lists both. What counts is what the imported module offers.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata

from ..bundled import PACK

PROVIDER_CHOICES = ("auto", "CPU", "CUDA")
CUDA_PROVIDER, CPU_PROVIDER = "CUDAExecutionProvider", "CPUExecutionProvider"
REPAIR = f"run 'python scripts/install.py' in '{PACK}' with ComfyUI's own Python, and restart ComfyUI"
REQUIRE = f"run 'python -m pip install -r requirements.txt' in '{PACK}' with ComfyUI's own Python"


class RuntimeProblem(RuntimeError):
    """ONNX Runtime or insightface cannot serve the request; the message says what to install."""


@dataclass(frozen=True)
class OnnxRuntime:
    """The installation as found.

    cpu_package, gpu_package: versions of the two packages, None where not installed. providers: what the imported module
    offers. torch_cuda: the CUDA version of a PyTorch that sees a device, else None. ort_cuda: the CUDA version that the
    module was built for, None for a CPU build.
    """

    cpu_package: str | None
    gpu_package: str | None
    providers: tuple[str, ...]
    torch_cuda: str | None
    ort_cuda: str | None

    def mixture(self) -> str | None:
        """What is wrong with the installation in one sentence, or None. A CPU machine has nothing to lose."""
        if self.gpu_package and CUDA_PROVIDER not in self.providers:
            culprit = (
                f"onnxruntime {self.cpu_package} has overwritten onnxruntime-gpu {self.gpu_package}"
                if self.cpu_package
                else f"onnxruntime-gpu {self.gpu_package} is installed but its files are not whole"
            )
            return f"{culprit}, so the CUDA provider is gone: {REPAIR}"
        if self.cpu_package and self.gpu_package and self.cpu_package != self.gpu_package:
            return (
                f"onnxruntime {self.cpu_package} and onnxruntime-gpu {self.gpu_package} share one folder in two "
                f"versions: {REPAIR}"
            )
        if self.torch_cuda and self.ort_cuda and _major(self.torch_cuda) != _major(self.ort_cuda):
            return (
                f"onnxruntime-gpu is built for CUDA {_major(self.ort_cuda)}, PyTorch for CUDA {_major(self.torch_cuda)}, so "
                f"the CUDA provider may not load: {REPAIR}"
            )
        return None

    def choose(self, wanted: str) -> list[str]:
        """Providers to ask for, best first, CPU always last.

        Raises RuntimeProblem when CUDA was asked for by name and is not there; "auto" falls back to the CPU.
        """
        if wanted not in PROVIDER_CHOICES:
            raise ValueError(f"provider: expected one of {', '.join(PROVIDER_CHOICES)}, found '{wanted}'")
        cuda = CUDA_PROVIDER in self.providers
        if wanted == "CUDA" and not cuda:
            why = self.mixture() or f"The package onnxruntime-gpu is not installed: {REPAIR}"
            raise RuntimeProblem(f"provider: CUDA was asked for, but ONNX Runtime offers {', '.join(self.providers)}. {why}")
        # "auto" takes the CPU where torch sees no CUDA either: the provider would only fail and say so at length.
        use_cuda = wanted == "CUDA" or (wanted == "auto" and cuda and self.torch_cuda is not None)
        return [CUDA_PROVIDER, CPU_PROVIDER] if use_cuda else [CPU_PROVIDER]


def inspect_onnx_runtime() -> OnnxRuntime:
    """Import ONNX Runtime and look. Raises RuntimeProblem when it is missing or does not import."""
    import torch

    cpu, gpu = _version("onnxruntime"), _version("onnxruntime-gpu")
    try:
        import onnxruntime
    except ImportError as error:
        hint = REPAIR if gpu or cpu else REQUIRE
        raise RuntimeProblem(f"ONNX Runtime cannot be imported ({error}): {hint}") from error
    cuda = torch.version.cuda if torch.cuda.is_available() else None
    try:
        providers = tuple(onnxruntime.get_available_providers())
    except AttributeError as error:
        raise RuntimeProblem(f"ONNX Runtime's folder is damaged ({error}): {REPAIR}") from error
    return OnnxRuntime(cpu, gpu, providers, cuda, _built_for_cuda())


def _built_for_cuda() -> str | None:
    from onnxruntime.capi import build_and_package_info

    return getattr(build_and_package_info, "cuda_version", None) or None


def _major(version: str) -> str:
    return version.partition(".")[0]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
