"""Simultaneous face swapping and reenactment (SFSR) in plain PyTorch; nothing in here knows ComfyUI.

The floors, ground first; a floor imports only lower ones:
expressions, face, schedule, estimators, encoders, landmarker, compound, network, losses, guidance, synthetic, training,
evaluation.
"""

__version__ = "0.1.0"
