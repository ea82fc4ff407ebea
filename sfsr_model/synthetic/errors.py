"""The one error type for assets and caches that cannot be used."""


class AssetError(ValueError):
    """An asset or cache file is missing, damaged or not what it should be; the message names the file and the remedy."""
