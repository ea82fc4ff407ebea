"""What training minimises: the diffusion loss, and losses on the decoded x0*."""

from .diffusion import diffusion_loss as diffusion_loss
from .diffusion import snr_weight as snr_weight
from .face import background_loss as background_loss
from .face import colour_loss as colour_loss
from .face import expression_loss as expression_loss
from .face import identity_loss as identity_loss
from .face import pyramid_loss as pyramid_loss
from .face import time_gate as time_gate
from .realism import LatentCritic as LatentCritic
from .realism import realism_loss as realism_loss
