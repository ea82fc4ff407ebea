"""Which provider is chosen, and what is said about a broken mixture of the two ONNX Runtime packages."""

import pytest

from sfsr_model.encoders.runtime import OnnxRuntime, RuntimeProblem, inspect_onnx_runtime

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def found(cpu=None, gpu=None, providers=(CPU,), torch_cuda=None, ort_cuda=None):
    return OnnxRuntime(cpu, gpu, providers, torch_cuda, ort_cuda)


def test_this_machines_own():
    runtime = inspect_onnx_runtime()
    assert CPU in runtime.providers
    assert runtime.choose("CPU") == [CPU]
    assert runtime.choose("auto")[-1] == CPU


@pytest.mark.parametrize(
    ("runtime", "expected"),
    [
        (found(cpu="1.31.1"), [CPU]),
        (found(gpu="1.31.1", providers=(CUDA, CPU)), [CPU]),
        (found(gpu="1.31.1", providers=(CUDA, CPU), torch_cuda="13.0"), [CUDA, CPU]),
        (found(cpu="1.31.1", gpu="1.31.1", torch_cuda="13.0"), [CPU]),
    ],
)
def test_auto(runtime, expected):
    assert runtime.choose("auto") == expected


def test_cuda_by_name_is_never_silently_the_cpu():
    with pytest.raises(RuntimeProblem, match="CUDA was asked for, but ONNX Runtime offers CPUExecutionProvider"):
        found(cpu="1.31.1").choose("CUDA")


def test_the_overwritten_gpu_package_is_explained():
    mixture = found(cpu="1.31.1", gpu="1.31.1").mixture()
    assert "onnxruntime 1.31.1 has overwritten onnxruntime-gpu 1.31.1" in mixture
    assert "scripts/install.py" in mixture


def test_two_versions_in_one_folder():
    assert "in two versions" in found(cpu="1.30.0", gpu="1.31.1", providers=(CUDA, CPU)).mixture()


def test_another_cuda_than_torchs():
    mixture = found(gpu="1.31.1", providers=(CUDA, CPU), torch_cuda="12.8", ort_cuda="13.0").mixture()
    assert "built for CUDA 13, PyTorch for CUDA 12" in mixture


@pytest.mark.parametrize(
    "runtime",
    [found(cpu="1.31.1"), found(cpu="1.31.1", gpu="1.31.1", providers=(CUDA, CPU), torch_cuda="13.0", ort_cuda="13.1")],
)
def test_a_sound_installation_has_nothing_to_say(runtime):
    assert runtime.mixture() is None


def test_unknown_provider():
    with pytest.raises(ValueError, match="expected one of auto, CPU, CUDA, found 'TPU'"):
        found().choose("TPU")
