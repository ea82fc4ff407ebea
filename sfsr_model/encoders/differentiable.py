"""A recogniser in PyTorch, for losses and guidance: gradients pass from the embedding to the picture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class TorchRecogniser(nn.Module):
    """A frozen recogniser.

    align: makes the aligned faces [N, 3, size, size] that it takes of pictures [N, H, W, 3] and points [N, 5, 2].
    size: side of the aligned faces it takes. dim, space: as those of the encoder it belongs to. batch: faces per pass where the
    network's file fixes that number, else None.

    Its weights never need gradients and are no inference tensors, wherever it was made. Under autograd the pictures must not be
    inference tensors either: inside a ComfyUI node work under `torch.inference_mode(False)`, on clones of the node's inputs.
    """

    def __init__(
        self,
        network: nn.Module,
        align: Callable[[Tensor, Tensor], Tensor],
        size: int,
        dim: int,
        space: str,
        mean: float = 127.5,
        std: float = 127.5,
        batch: int | None = None,
    ) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self._align, self.size, self.dim, self.space, self.batch = align, size, dim, space, batch
        self._mean, self._std = mean, std

    def forward(self, faces: Tensor) -> Tensor:
        """Embeddings [N, D], not normalised, of aligned faces [N, 3, size, size], RGB in 0..1."""
        if faces.ndim != 4 or tuple(faces.shape[1:]) != (3, self.size, self.size):
            raise ValueError(f"faces: expected [N, 3, {self.size}, {self.size}], got {tuple(faces.shape)}")
        scaled = (faces * 255.0 - self._mean) / self._std
        parts = scaled.split(self.batch) if self.batch else (scaled,)
        embeddings = [self.network(part).reshape(len(part), -1) for part in parts]
        return torch.cat(embeddings)

    def align(self, images: Tensor, points: Tensor) -> Tensor:
        """Aligned faces [N, 3, size, size] of pictures [N, H, W, 3], RGB in 0..1, with five points each [N, 5, 2]."""
        return self._align(images, points)

    def embed(self, images: Tensor, points: Tensor) -> Tensor:
        """Embeddings [N, D], not normalised, of the faces with five points [N, 5, 2] in pictures [N, H, W, 3]."""
        return self(self.align(images, points))
