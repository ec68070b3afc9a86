"""Training: fitting weights, or an operator, to what is asked of them. ``inverse``, ``prior`` and ``unrolled`` need the extra ``train``: pip install
'fastip[train]'."""

from .inverse import inverse as inverse
from .kernel import kernel as kernel
from .perceptual import Perceptual as Perceptual
from .prior import prior as prior
from .prior import unrolled as unrolled
from .recipes import RECIPES as RECIPES
from .recipes import task as task
