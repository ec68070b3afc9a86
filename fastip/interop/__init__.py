"""Other libraries: SciPy, pylops, CuPy and deepinv. Nothing of theirs is imported before it is used."""

from .deepinv import DeepinvOperator as DeepinvOperator
from .deepinv import DeepinvPrior as DeepinvPrior
from .deepinv import ProxL2 as ProxL2
from .deepinv import from_deepinv as from_deepinv
from .deepinv import prior_from_deepinv as prior_from_deepinv
from .deepinv import to_deepinv as to_deepinv
from .linear_operator import from_linear_operator as from_linear_operator
