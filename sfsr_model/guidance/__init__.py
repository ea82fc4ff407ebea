"""Gradients of identity and expression energies on x0*, for the sampler."""
