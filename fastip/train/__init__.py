"""Training: fitting weights, or an operator, to what is asked of them. ``inverse`` needs the extra ``train``: pip install 'fastip[train]'."""

from .inverse import inverse as inverse
from .kernel import kernel as kernel
