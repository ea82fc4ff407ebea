"""What a checkpoint is: sizes, key layout, metadata, and the untrained one that stands in until a trained one exists.

There is no UNet and no autoencoder of this project's own: ComfyUI runs both from the key layouts that are listed here.
"""

from .checkpoint import Checkpoint as Checkpoint
from .checkpoint import CheckpointError as CheckpointError
from .checkpoint import Metadata as Metadata
from .checkpoint import load_checkpoint as load_checkpoint
from .checkpoint import save_checkpoint as save_checkpoint
from .layout import UNetConfig as UNetConfig
from .untrained import untrained_checkpoint as untrained_checkpoint
