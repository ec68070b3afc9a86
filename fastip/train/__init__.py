"""Training: fitting weights, or an operator, to what is asked of them.

All but ``encoder``, ``kernel``, ``measurements`` and ``networks`` need the extra ``train``: pip install
'fastip[train]'.
"""

from .degradation import Degradation as Degradation
from .engine.run import Run as Run
from .gan import gan as gan
from .inverse import inverse as inverse
from .kernel import kernel as kernel
from .losses.perceptual import Perceptual as Perceptual
from .measurements import measurements as measurements
from .networks import encoder as encoder
from .networks import networks as networks
from .one_net import one_net as one_net
from .prior import prior as prior
from .prior import unrolled as unrolled
from .projector import projector as projector
from .recipes import RECIPES as RECIPES
from .recipes import task as task
from .restorer import restorer as restorer
from .vae import vae as vae
