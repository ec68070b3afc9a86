"""The weight of a prior from the data: a path of warm-started solves, and the rules that judge them."""

from .select import select as select
