"""Whether Triton can be used: asked before anything of it is imported."""

from __future__ import annotations

import functools
import re

REMEDY = "pip install 'fastip[triton]'"
OLDEST = (3, 6)  # version of Triton whose language the kernels are written in


@functools.cache
def why_missing() -> str | None:
    """None where Triton can be imported, else the reason."""
    try:
        import triton
    except ImportError as error:
        return f"it cannot be imported ({error}); {REMEDY}"
    if not hasattr(triton, "jit"):
        return f"the module named triton is not the compiler; remove it and {REMEDY}"
    version = tuple(int(part) for part in re.findall(r"\d+", triton.__version__)[:2])
    if version < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return f"version {triton.__version__} is too old, {oldest} is the oldest; {REMEDY}"
    return None


@functools.cache
def interpreted() -> bool:
    """Whether TRITON_INTERPRET=1 runs the kernels in Python, on tensors of the CPU too: for tests."""
    if why_missing():
        return False
    from triton import knobs

    return bool(knobs.runtime.interpret)
