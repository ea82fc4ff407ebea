"""Held-out measurements: identity, expression, pose, leakage and the study of the estimators."""
