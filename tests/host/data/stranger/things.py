"""Anything, to be given under any type's name."""

import torch


def _nan(*shape):
    values = torch.full(shape, 0.5)
    values[(0,) * len(shape)] = torch.nan
    return values


class _Autoencoder:
    """Has a VAE's methods, and is none of the host's."""

    def encode(self, pixels):
        return torch.zeros(len(pixels), 16, pixels.shape[1] // 4, pixels.shape[2] // 4)

    def decode(self, samples):
        return torch.zeros(len(samples), samples.shape[2] * 4, samples.shape[3] * 4, 3)

    def get_sd(self):
        return {}


def _other_vae():
    import comfy.sd

    vae = comfy.sd.VAE.__new__(comfy.sd.VAE)
    vae.latent_channels = 16
    return vae


# By name, for inputs of any type.
THINGS = {
    "nothing": lambda: None,
    "an object": object,
    "a class": lambda: object,
    "a word": lambda: "hello",
    "a number": lambda: 3,
    "minus one": lambda: -1,
    "a huge number": lambda: 10**9,
    "a half": lambda: 0.5,
    "NaN": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "a list": lambda: [1, "two", None],
    "an empty list": list,
    "a list of lists": lambda: [[None], 5],
    "a list of dicts": lambda: [{"x": 1.0, "y": None}],
    "a tuple": lambda: (1, 2),
    "an empty tuple": tuple,
    "an empty dict": dict,
    "a dict": lambda: {"frames": [[{"landmarks_xy": "here", "bbox_xyxy": 3}]], "image_size": "large", "samples": 5},
    "landmarks of nothing": lambda: {"frames": [3], "image_size": None},
    "landmarks that are NaN": lambda: {
        "frames": [[{"landmarks_xy": torch.full((478, 2), torch.nan), "bbox_xyxy": [0, 0, 9, 9], "score": float("nan")}]]
    },
    "a NaN box": lambda: {"x": float("nan"), "y": 0, "width": 9, "height": 9},
    "a box elsewhere": lambda: {"x": 1e6, "y": 1e6, "width": 9, "height": 9},
    "boxes of another batch": lambda: [[{"x": 0, "y": 0, "width": 9, "height": 9}]] * 3,
    "a scalar": lambda: torch.tensor(0.5),
    "numbers in a row": lambda: torch.rand(5),
    "a picture without a batch": lambda: torch.rand(64, 64, 3),
    "an empty batch": lambda: torch.zeros(0, 64, 64, 3),
    "pictures of no size": lambda: torch.zeros(1, 0, 64, 3),
    "pictures of two channels": lambda: torch.rand(1, 64, 64, 2),
    "pictures in bytes": lambda: torch.zeros(1, 64, 64, 3, dtype=torch.uint8),
    "gray pictures": lambda: torch.rand(1, 64, 64, 1),
    "pictures with alpha": lambda: torch.rand(2, 64, 64, 4),
    "pictures of half precision": lambda: torch.rand(1, 64, 64, 3).half(),
    "pictures of double precision": lambda: torch.rand(1, 64, 64, 3).double(),
    "bright pictures": lambda: torch.rand(1, 64, 64, 3) * 255,
    "pictures of NaN": lambda: _nan(1, 64, 64, 3),
    "pictures of infinity": lambda: torch.full((1, 64, 64, 3), torch.inf),
    "a film": lambda: torch.rand(1, 2, 64, 64, 3),
    "an empty mask": lambda: torch.zeros(0, 64, 64),
    "a mask of NaN": lambda: _nan(1, 64, 64),
    "a mask of truths": lambda: torch.ones(1, 64, 64, dtype=torch.bool),
    "an empty latent": lambda: {"samples": torch.zeros(0, 4, 8, 8)},
    "a latent of 16 channels": lambda: {"samples": torch.zeros(1, 16, 8, 8)},
    "a latent of NaN": lambda: {"samples": _nan(1, 4, 8, 8)},
    "a latent with a wrong mask": lambda: {"samples": torch.zeros(1, 4, 8, 8), "noise_mask": "all"},
    "another model's conditioning": lambda: [[torch.zeros(1, 77, 2048), {}]],
    "half a conditioning": lambda: [[torch.zeros(1, 77, 768)]],
    "another model's autoencoder": _other_vae,
    "what looks like an autoencoder": _Autoencoder,
}
