"""Data steps of other data terms than ``||y - A x||^2``: the second split, and line one as a prox."""
