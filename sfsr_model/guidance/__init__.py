"""Gradients of identity and expression energies on x0*, for the sampler."""

from .energies import ExpressionEnergy as ExpressionEnergy
from .energies import IdentityEnergy as IdentityEnergy
from .energies import crop_points as crop_points
from .guide import Guide as Guide
