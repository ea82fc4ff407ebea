"""From ARKit coefficients to the 55 numbers of a user's SMIRK file: faces that both describe, and the map fitted to them."""

from .faces import Readings, photo_faces, rendered_faces
from .fit import Fit, correlations, fit_map

__all__ = ["Fit", "Readings", "correlations", "fit_map", "photo_faces", "rendered_faces"]
