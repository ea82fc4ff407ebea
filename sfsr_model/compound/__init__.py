"""The balanced compound embedding: identity and expression as equally many, equally loud cross-attention tokens."""

from .encoder import CompoundConfig as CompoundConfig
from .encoder import CompoundEncoder as CompoundEncoder
from .segments import Segment as Segment
from .segments import segments as segments
