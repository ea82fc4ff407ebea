"""Gradients of identity and expression energies on x0*, for the sampler."""

from .cut import Cut as Cut
from .cut import FaceDecoder as FaceDecoder
from .cut import face_cut as face_cut
from .energies import MEASURES as MEASURES
from .energies import ExpressionEnergy as ExpressionEnergy
from .energies import FacePlace as FacePlace
from .energies import IdentityEnergy as IdentityEnergy
from .energies import face_place as face_place
from .guide import STEP_SIZES as STEP_SIZES
from .guide import Guide as Guide
from .guide import GuidedRun as GuidedRun
from .guide import Term as Term
from .views import PLAIN as PLAIN
from .views import View as View
from .views import random_view as random_view
from .views import some_views as some_views
