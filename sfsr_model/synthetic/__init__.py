"""Rendered faces with known identity, expression, pose and light."""
