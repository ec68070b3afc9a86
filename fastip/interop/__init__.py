"""Other libraries: operators of SciPy, pylops and CuPy. Nothing of theirs is imported before it is used."""

from .linear_operator import from_linear_operator as from_linear_operator
