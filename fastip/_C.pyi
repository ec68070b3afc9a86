"""The compiled kernels.

The argument structs are those of csrc/include/fastip/kernels.hpp, filled by name; pointers are addresses.
"""

from typing import Any

version: str
openmp: bool
cuda_compiled: bool
boundaries: tuple[str, ...]
cuda: Any  # the same for GPUs, where cuda_compiled: (device, stream) in place of threads, and admm_workspace

def isa() -> str: ...
def isas() -> list[str]: ...
def use_isa(name: str) -> None: ...
def cuda_devices() -> tuple[int, str]: ...

# The argument structs, filled by name, and the families, called with (struct, dtype, threads): csrc/families.cmake.
def __getattr__(name: str) -> Any: ...
