"""A bug that is put into the product on purpose."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """One bug.

    Args:
        name: What the table calls it.
        file: Where it lies, from the root of the repository.
        old: Text that stands there exactly once.
        new: What it becomes.
        breaks: What goes wrong, in words.
        likely: Folders or files below tests/ that are most likely to catch it.
    """

    name: str
    file: str
    old: str
    new: str
    breaks: str
    likely: tuple[str, ...]

    @property
    def compiled(self) -> bool:
        """Whether the extension has to be built again."""
        return self.file.startswith("csrc/")
