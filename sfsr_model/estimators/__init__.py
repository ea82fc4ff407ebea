"""Estimates of the clean latent x0* from a noisy one, and the sampler built on the improved midpoint."""

from .midpoint import one_step as one_step
from .midpoint import two_step as two_step
from .prediction import denoiser as denoiser
from .prediction import target as target
from .solver import alike_noise as alike_noise
from .solver import sample_improved_midpoint as sample_improved_midpoint
from .variants import ESTIMATORS as ESTIMATORS
from .variants import Noisy as Noisy
from .variants import estimator as estimator
