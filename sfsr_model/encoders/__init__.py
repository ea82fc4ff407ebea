"""Encoders of pictures: who (identity), how (expression) and where (face detection)."""
