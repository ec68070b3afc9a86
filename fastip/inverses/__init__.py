"""Inverses: objects that apply or approximate B = (beta I + A A^T)^-1.

Bound to an operator, the data and beta they are the data step.
"""

from .auto import choose as choose
from .auto import offer as offer
from .certificate import Certificate as Certificate
from .conjugate_gradient import ConjugateGradient as ConjugateGradient
from .conjugate_gradient import GradientDescent as GradientDescent
from .exact import Exact as Exact
from .examine import examine as examine
from .general.bounded import Diagonal as Diagonal
from .general.bounded import Scalar as Scalar
from .general.nystrom import Nystrom as Nystrom
from .general.polynomial import Polynomial as Polynomial
from .identity import woodbury as woodbury
from .learned import Learned as Learned
from .paper import Printed as Printed
from .paper import Uncorrected as Uncorrected
from .split import Split as Split
from .stencil import Stencil as Stencil
from .trained import Stored as Stored
from .trained import Trained as Trained
