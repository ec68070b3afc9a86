"""Photographs of faces: AT&T (ORL)."""

from __future__ import annotations

import numpy as np

from . import cache
from .pictures import Stored, check_split

# By person: more for test and validation leave fewer faces to learn from.
PEOPLE = {"train": range(1, 33), "validation": range(33, 37), "test": range(37, 41)}


class Faces(Stored):
    """AT&T (ORL) faces: 1 112 92, grey, ten of each person; ``labels`` is the person.

    Args:
        split: By person: "train" (32), "validation" (4) or "test" (4).

    Raises:
        MissingData: Where the set is not fetched.
        InvalidInput: For another split.
    """

    def __init__(self, split: str) -> None:
        people = PEOPLE[check_split(split)]
        ((folder, names),) = cache.opened("faces")
        person = np.array([int(name.removeprefix("s").split("/")[0]) for name in names])
        mine = np.isin(person, list(people))
        super().__init__(np.load(folder / "faces.npy")[mine, None], person[mine])
