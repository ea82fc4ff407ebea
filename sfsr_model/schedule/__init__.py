"""Noise levels: Stable Diffusion 1.x's schedule in sigma space, and where a step's midpoint lies.

With x_t = a_t x0 + s_t eps (a_t = sqrt(alpha_bar_t)) the code works on y = x_t / a_t = x0 + sigma eps, the variance
exploding form that ComfyUI's samplers use, where sigma = s_t / a_t and the log-SNR is -2 log(sigma).
"""

from .midpoint import MIDPOINT_LOCATIONS as MIDPOINT_LOCATIONS
from .midpoint import midpoint_sigma as midpoint_sigma
from .path import NoisePath as NoisePath
from .scaled_linear import ScaledLinearSchedule as ScaledLinearSchedule
