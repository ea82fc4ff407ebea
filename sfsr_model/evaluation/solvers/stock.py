"""The stock samplers that users know from ComfyUI, run by diffusers' schedulers on noise levels of our choice.

euler, heun and dpm_2 are the rules of Karras et al. 2022 (algorithm 2 without churn) and of k-diffusion; dpmpp_2m is
DPM-Solver++ (2M, Lu et al. 2022), uni_pc is UniPC (Zhao et al. 2023) with B1(h) and order 3, as ComfyUI sets it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...schedule import ScaledLinearSchedule
from ..generate import noise_levels

STOCK = ("euler", "heun", "dpm_2", "dpmpp_2m", "uni_pc")
LEVELS = ("normal", "karras")
_TWICE = ("heun", "dpm_2")
"""They look twice a step, but once in the step to 0."""
_PRESERVING = ("dpmpp_2m", "uni_pc")
"""Their schedulers hold x_t, the others x_t / a_t = x0 + sigma eps."""
_UNI_PC_END = 0.001
"""B1(h) has no step to 0; ComfyUI stops UniPC at this noise level."""
_RHO = 7.0


def levels(kind: str, steps: int) -> Tensor:
    """Sigmas [steps + 1], the last one 0, as ComfyUI's schedulers of these names give them.

    normal: evenly spaced timesteps. karras: evenly spaced sigma^(1/7) (Karras et al. 2022, equation 5).
    """
    if kind == "normal":
        return noise_levels(steps)
    schedule = ScaledLinearSchedule()
    low, high = (schedule.sigma(time) ** (1 / _RHO) for time in (0, schedule.timesteps - 1))
    return torch.cat([torch.linspace(high, low, steps) ** _RHO, torch.zeros(1)])


def stock_steps(name: str, evaluations: int) -> int:
    """The most steps of a sampler that take no more than so many evaluations."""
    return (evaluations + 1) // 2 if name in _TWICE else evaluations


def stock_evaluations(name: str, steps: int) -> int:
    """How often a sampler looks at the network in so many steps."""
    return 2 * steps - 1 if name in _TWICE else steps


@torch.no_grad()
def sample_stock(name: str, model: Callable[[Tensor, Tensor], Tensor], x: Tensor, sigmas: Tensor) -> Tensor:
    """Solve the probability-flow ODE from sigmas[0] to 0 with a sampler of STOCK.

    model: D(x, sigma [B]) on x = x0 + sigma eps. x [B, C, H, W] at sigmas[0]; sigmas falling to 0, [steps + 1].
    """
    scheduler = _scheduler(name, sigmas)
    ones = x.new_ones(len(x))
    sample = x / (1 + float(sigmas[0]) ** 2) ** 0.5 if name in _PRESERVING else x
    for number, time in enumerate(scheduler.timesteps):
        halfway = name == "dpm_2" and number % 2
        sigma = float((scheduler.sigmas_interpol if halfway else scheduler.sigmas)[number])
        latent = sample * (1 + sigma**2) ** 0.5 if name in _PRESERVING else sample
        noise = (latent - model(latent, sigma * ones)) / sigma
        sample = scheduler.step(noise, time, sample).prev_sample
    last = float(scheduler.sigmas[-1])
    return sample * (1 + last**2) ** 0.5


def _scheduler(name: str, sigmas: Tensor) -> Any:
    import diffusers

    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "euler": (diffusers.EulerDiscreteScheduler, {}),
        "heun": (diffusers.HeunDiscreteScheduler, {}),
        "dpm_2": (diffusers.KDPM2DiscreteScheduler, {}),
        "dpmpp_2m": (diffusers.DPMSolverMultistepScheduler, {"solver_order": 2}),
        "uni_pc": (
            diffusers.UniPCMultistepScheduler,
            {"solver_order": max(1, min(3, len(sigmas) - 2)), "solver_type": "bh1"},
        ),
    }
    kind, options = kinds[name]
    schedule = ScaledLinearSchedule()
    scheduler = kind(
        num_train_timesteps=schedule.timesteps, beta_start=schedule.beta_start, beta_end=schedule.beta_end,
        beta_schedule="scaled_linear", prediction_type="epsilon", use_karras_sigmas=True, **options,
    )  # fmt: skip
    # The one place at which all five take given noise levels.
    given = sigmas[:-1].double().numpy()
    scheduler._convert_to_karras = lambda in_sigmas, num_inference_steps: given.copy()
    scheduler.set_timesteps(len(given))
    if not np.allclose(np.unique(scheduler.sigmas)[::-1][: len(given)], given, rtol=1e-5):
        raise RuntimeError(
            f"diffusers {diffusers.__version__}: {kind.__name__} did not take the noise levels; try another version"
        )
    if name == "uni_pc":
        scheduler.sigmas[-1] = _UNI_PC_END
    scheduler.set_begin_index(0)
    # Euler's wants to see that latents were scaled, which `sample_stock` leaves to the denoiser.
    scheduler.is_scale_input_called = True
    return scheduler
