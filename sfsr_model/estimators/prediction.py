"""What a network predicts, as a denoiser in sigma space.

With y = x_t / a_t = x0 + sigma eps, a_t = 1 / sqrt(1 + sigma^2) and s_t = sigma a_t, the network sees x_t = a_t y.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from .midpoint import Level, beside

PREDICTIONS = ("eps", "v")
# (x_t, sigma) -> epsilon or v; turning sigma into the network's timestep is the caller's.
Predictor = Callable[[Tensor, Level], Tensor]


def denoiser(predict: Predictor, prediction: str = "eps") -> Callable[[Tensor, Level], Tensor]:
    """D(y, sigma) of a network that predicts epsilon (Ho et al. 2020) or v = a_t eps - s_t x0 (Salimans & Ho 2022).

    Raises ValueError for another prediction.
    """
    _check(prediction)

    def denoise(y: Tensor, sigma: Level) -> Tensor:
        level = beside(sigma, y)
        squared = 1.0 + level**2
        output = predict(y / squared**0.5, sigma)
        return y - level * output if prediction == "eps" else y / squared - level / squared**0.5 * output

    return denoise


def target(x0: Tensor, noise: Tensor, sigma: Level, prediction: str = "eps") -> Tensor:
    """What the network should predict for x0 with this noise at this level; raises ValueError for another prediction."""
    _check(prediction)
    if prediction == "eps":
        return noise
    level = beside(sigma, x0)
    return (noise - level * x0) / (1.0 + level**2) ** 0.5


def _check(prediction: str) -> None:
    if prediction not in PREDICTIONS:
        raise ValueError(f"prediction: expected {' or '.join(PREDICTIONS)}, found '{prediction}'")
