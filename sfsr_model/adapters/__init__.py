"""Adapters that people own: weights that tell a stock network of a person or of an expression.

A file becomes an `Adapter` (`read_adapter`), that a projection (`projection_of`) and keys and values for every cross-attention
(`KeysValues`, `attention_layers`); a LoRA that comes with it becomes one of its own (`lora_state`).
"""

from .action_units import fineface_units as fineface_units
from .adapter import Adapter as Adapter
from .adapter import AdapterError as AdapterError
from .files import companion as companion
from .files import read_adapter as read_adapter
from .keys_values import KeysValues as KeysValues
from .kinds import KINDS as KINDS
from .kinds import default_raw_kind as default_raw_kind
from .kinds import default_shortcut as default_shortcut
from .layers import AttentionLayer as AttentionLayer
from .layers import attention_layers as attention_layers
from .lora import lora_state as lora_state
from .projections import Projection as Projection
from .projections import projection_of as projection_of
from .stand_ins import write_stand_in as write_stand_in
