"""Losses on the decoded x0*: identity, expression, perceptual and background, beside the epsilon loss."""
