from typing import Any

version: str
openmp: bool
cuda_compiled: bool
cuda: Any  # the same families for GPUs, where cuda_compiled: (device, stream) in place of threads, and admm_workspace

def isa() -> str: ...
def isas() -> list[str]: ...
def use_isa(name: str) -> None: ...
def cuda_devices() -> tuple[int, str]: ...
def strided_conv(
    x: int,
    out: int,
    psf: int,
    first: int,
    second: int,
    sizes: tuple[int, int, int, int, int, int, int, int, int],
    factors: tuple[float, float, float],
    dtype: int,
    threads: int,
) -> None: ...
def strided_conv_adjoint(y: int, out: int, psf: int, sizes: tuple[int, int, int, int, int, int, int, int, int], dtype: int, threads: int) -> None: ...
def pixel_unshuffle(x: int, out: int, sizes: tuple[int, int, int, int, int, int], dtype: int, threads: int) -> None: ...
def pixel_shuffle(phases: int, out: int, sizes: tuple[int, int, int, int, int, int], dtype: int, threads: int) -> None: ...
def soft_threshold(v: int, add: int, out: int, n: int, numbers: tuple[float, float, float, float], dtype: int, threads: int) -> None: ...
def spectral_step(f: int, p: int, offset: int, gain: int, planes: int, n: int, relaxation: float, dtype: int, threads: int) -> None: ...
def tv_prox(
    arrays: tuple[int, int, int, int],
    sizes: tuple[int, int, int, int],
    isotropic: bool,
    numbers: tuple[float, float, float, float, float, float, float],
    dtype: int,
    threads: int,
) -> None: ...
def admm(
    arrays: tuple[int, int, int, int, int, int],
    sizes: tuple[int, int, int, int, int, int, int, int, int, int, int, int, int, int],
    numbers: tuple[float, float, float, float, float, float, float],
    dtype: int,
    threads: int,
) -> tuple[int, int, int]: ...
