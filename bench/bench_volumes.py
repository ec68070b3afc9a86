"""Counts of a stack of 64 x 256 x 256 behind a widefield psf of 32 x 64 x 64: admm against Richardson-Lucy.

    OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE python bench/bench_volumes.py
    ... -o bench/results/volumes.md -f bench/results/volumes.png          the page and its figure

The specimen is simulated: filaments, beads and dim cells (``skimage.data.binary_blobs``), on voxels twice as long along
the axis as across. It goes on beyond the stack, as a specimen does. The psf is the scalar one of an objective of
numerical aperture 1.3 in oil that looks into water, spherical aberration included. Poisson counts, at most about 200,
over a background of 10.

fastip has total variation with x >= 0, Poisson's likelihood with the background, beta = 3e-5, and a valid border: the
volume that it finds is 95 x 319 x 319. scikit-image's Richardson-Lucy has the background subtracted, no border (zeros)
or one that is mirrored by half a psf, and stops at the iteration of least error, which no user knows. So has the weight
the least error of those tried. Errors are relative to the specimen, in the stack and in its inside, half a psf off each
border.
Each runs in a process of its own, float32, two threads, whose seconds, processor time (another program may run beside
it) and largest memory are told.
"""

from __future__ import annotations

import argparse
import datetime
import json
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import fft, ndimage
from scipy.signal import fftconvolve
from skimage import data, restoration

import fastip
from fastip import fidelities, figures, operators, priors
from fastip.io.replace import replace_file
from measure import processor

STACK, PSF, BACKGROUND, PEAK = (64, 256, 256), (32, 64, 64), 10.0, 200.0
SCENE = tuple(n + k - 1 for n, k in zip(STACK, PSF, strict=True))
ITERATIONS, WEIGHTS, BETA = 60, (0.002, 0.004), 3e-5
MOST = 50  # iterations of Richardson-Lucy
HALF = tuple(k // 2 for k in PSF)


def widefield() -> np.ndarray:
    """|FFT of the pupil|^2 at each defocus, of light of 520 nm; voxels of 0.2 x 0.1 x 0.1 micrometres."""
    wave, aperture, oil, water, across, along, wide = 0.52, 1.3, 1.515, 1.33, 0.1, 0.2, 256
    f = np.fft.fftfreq(wide, across)
    square = np.add.outer(f**2, f**2)
    pupil = square <= (aperture / wave) ** 2
    upright = [np.sqrt(np.maximum((n / wave) ** 2 - square, 0)) for n in (oil, water)]
    depth = 2.0  # micrometres of water above the focus
    aberration = depth * (upright[1] - upright[0])
    planes = []
    for slice_ in range(PSF[0]):
        z = along * (slice_ - HALF[0])
        field = np.fft.ifft2(pupil * np.exp(2j * np.pi * (z * upright[1] + aberration)))
        planes.append(np.fft.fftshift(np.abs(field) ** 2))
    psf = np.stack(planes)
    brightest = int(psf.max(axis=(1, 2)).argmax())  # the aberration moves the focus, which the stage follows
    psf = np.roll(psf, HALF[0] - brightest, axis=0)
    first = [wide // 2 - k for k in HALF[1:]]
    psf = psf[:, first[0] : first[0] + PSF[1], first[1] : first[1] + PSF[2]]
    return psf / psf.sum()


def specimen(seed: int = 0) -> np.ndarray:
    """Filaments, beads and dim cells, at most about 1."""
    draw = np.random.default_rng(seed)
    x = np.zeros(SCENE, np.float32)
    for _ in range(60):
        steps = ndimage.gaussian_filter1d(draw.standard_normal((900, 3)), 60, axis=0)
        steps /= np.linalg.norm(steps, axis=1, keepdims=True)
        way = draw.uniform(0, 1, 3) * SCENE + np.cumsum(steps * [0.25, 0.5, 0.5], axis=0)
        inside = np.all((way >= 0) & (way < np.array(SCENE) - 1), axis=1)
        np.add.at(x, tuple(np.rint(way[inside]).astype(int).T), 0.3)
    x = 0.9 * np.minimum(ndimage.gaussian_filter(x, (0.4, 0.8, 0.8)), 0.4) / 0.4
    at = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij"))
    ball = ((at * np.array([2, 1, 1]).reshape(3, 1, 1, 1)) ** 2).sum(axis=0) <= 9
    for _ in range(150):
        corner = [draw.integers(0, n - 9) for n in SCENE]
        place = tuple(slice(c, c + 9) for c in corner)
        x[place] = np.maximum(x[place], ball)
    cells = data.binary_blobs(160, blob_size_fraction=0.25, n_dim=3, volume_fraction=0.15, rng=seed)
    cells = ndimage.zoom(cells.astype(np.float32), [n / 160 for n in SCENE], order=1)
    return np.maximum(x, 0.15 * cells)


def seen(x: np.ndarray, psf: np.ndarray, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The specimen in counts, and the stack."""
    mean = np.maximum(fftconvolve(x.astype(np.float64), psf, mode="valid"), 0)
    gain = PEAK / mean.max()
    y = np.random.default_rng(seed).poisson(gain * mean + BACKGROUND)
    return (gain * x).astype(np.float32), y.astype(np.float32)


def inner(x: np.ndarray) -> np.ndarray:
    """The part of the scene that the stack shows; the psf's centre is k // 2."""
    return x[tuple(slice(k - 1 - k // 2, k - 1 - k // 2 + n) for n, k in zip(STACK, PSF, strict=True))]


def errors(x: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """In the stack and in its inside."""
    deep = tuple(slice(h, -h) for h in HALF)
    pairs = (x, truth), (x[deep], truth[deep])
    a, b = (float(np.linalg.norm(one - other) / np.linalg.norm(other)) for one, other in pairs)
    return a, b


# ---- in processes of their own ---------------------------------------------------------------------------------------


def with_fastip(y: np.ndarray, psf: np.ndarray, weight: float, look: Any = None) -> np.ndarray:
    """The volume in the stack."""
    torch.set_num_threads(2)
    op = operators.Blur(psf, boundary="valid", axes=3)
    prior = priors.TV(weight, spacing=(2, 1, 1), steps=2) + priors.NonNegative()
    solution = fastip.admm(
        torch.from_numpy(y)[None, None],
        op,
        prior,
        fidelity=fidelities.Poisson(BACKGROUND),
        beta=BETA,
        iterations=ITERATIONS,
        tolerance=0,
        callback=look,
    )
    return inner(solution.x[0, 0].numpy())


def odd(psf: np.ndarray) -> np.ndarray:
    """With zeros behind it: of an even psf the two convolutions of scikit-image take centres one voxel apart."""
    return np.pad(psf, (0, 1)).astype(np.float32)


def lucy(y: np.ndarray, psf: np.ndarray, iterations: int, mirrored: bool) -> np.ndarray:
    """scikit-image's."""
    clean = np.maximum(y - BACKGROUND, 0)
    clean = np.pad(clean, [(h, h) for h in HALF], mode="reflect") if mirrored else clean
    with fft.set_workers(2):
        x = restoration.richardson_lucy(clean, odd(psf), iterations, clip=False, filter_epsilon=1e-3)
    return x[tuple(slice(h, -h) for h in HALF)] if mirrored else x


def child(kind: str, folder: Path, number: float) -> None:
    """Runs one of them, tells its seconds and memory, and leaves its volume in the folder."""
    held = np.load(folder / "given.npz")
    y, psf = held["y"], held["psf"]
    begun, worked = time.perf_counter(), time.process_time()
    x = with_fastip(y, psf, number) if kind == "fastip" else lucy(y, psf, int(number), kind == "mirrored")
    seconds = time.perf_counter() - begun, (time.process_time() - worked) / 2
    np.save(folder / "x.npy", x)
    print(json.dumps([*seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6]))


def apart(kind: str, folder: Path, number: float) -> tuple[str, np.ndarray]:
    """Seconds, those of the processor for each of two threads, and GB, as a row has them; and the volume."""
    command = [sys.executable, __file__, "--child", kind, str(folder), str(number)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    seconds, worked, memory = json.loads(told)
    return f"{seconds:.1f} | {worked:.1f} | {memory:.2f}", np.load(folder / "x.npy")


def path_of_lucy(y: np.ndarray, psf: np.ndarray, truth: np.ndarray, mirrored: bool) -> list[tuple[float, float]]:
    """The errors after each iteration, of the same formula."""
    clean = np.maximum(y - BACKGROUND, 0)
    clean = np.pad(clean, [(h, h) for h in HALF], mode="reflect") if mirrored else clean
    taps = odd(psf)
    x, found = np.full_like(clean, 0.5), []
    with fft.set_workers(2):
        for _ in range(MOST):
            blurred = fftconvolve(x, taps, mode="same") + 1e-12
            ratio = np.where(blurred < 1e-3, 0, clean / blurred)
            x *= fftconvolve(ratio, np.flip(taps), mode="same")
            shown = x[tuple(slice(h, -h) for h in HALF)] if mirrored else x
            found.append(errors(shown, truth))
            if len(found) > 10 and all(found[-1][n] > 1.005 * min(one[n] for one in found) for n in (0, 1)):
                break
    return found


# ---- the page --------------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description="Counts of a stack: admm against Richardson-Lucy.")
    parser.add_argument("-o", "--output", type=Path, help="the page")
    parser.add_argument("-f", "--figure", type=Path, help="the figure")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        kind, folder, number = options.child
        return child(kind, Path(folder), float(number))
    psf = widefield()
    scene, y = seen(specimen(), psf)
    truth, rows, pictures = inner(scene), [], {"specimen": inner(scene), "stack": y}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "given.npz", y=y, psf=psf)
        ways = {kind: path_of_lucy(y, psf, truth, kind == "mirrored") for kind in ("zeros", "mirrored")}
        tried = []
        print("what is timed:", flush=True)
        for weight in WEIGHTS:
            cost, x = apart("fastip", folder, weight)
            tried.append((errors(x, truth), weight, cost, x))
            print("fastip", weight, tried[-1][:3], flush=True)
        own, weight, cost, pictures["fastip"] = min(tried, key=lambda one: one[0])
        told = f"{cost} | {own[0]:.3f} | {own[1]:.3f} |"
        rows.append(f"| admm, TV {weight:g}, {ITERATIONS} iterations | {told}")
        best = np.inf
        for kind, way in ways.items():
            count = int(np.argmin([one[0] for one in way])) + 1
            cost, found = apart(kind, folder, count)
            theirs = errors(found, truth)
            print(kind, count, way[count - 1], theirs, cost, min(one[1] for one in way), flush=True)
            border = "mirrored border" if kind == "mirrored" else "zeros beyond"
            rows.append(
                f"| Richardson-Lucy, {border}, best: {count} iterations | {cost} | {theirs[0]:.3f} "
                f"| {theirs[1]:.3f} (at best {min(one[1] for one in way):.3f}) |"
            )
            if theirs[0] < best:
                best, pictures["Richardson-Lucy"] = theirs[0], found
        begun, worked, when = time.perf_counter(), time.process_time(), ["not within its iterations"]

        def look(state: Any) -> bool:
            reached = errors(inner(state.x[0, 0].numpy()), truth)[0] <= best
            if reached:
                cost = time.perf_counter() - begun, (time.process_time() - worked) / 2
                when[0] = f"after {state.iteration} iterations, {cost[0]:.1f} s ({cost[1]:.1f} of the processor)"
            return not reached

        with_fastip(y, psf, weight, look)
    weights = ", ".join(f"{one[1]:g}: {one[0][0]:.3f}" for one in tried)
    page = [
        "# A stack of counts behind a widefield psf",
        "",
        *(__doc__ or "").split("\n\n")[2:],
        "| | s | processor s, a thread | GB | error in the stack | in its inside |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        f"The error of the better Richardson-Lucy is reached by fastip {when[0]}. Errors by weight: {weights}.",
        "",
        f"Made by `OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE python bench/bench_volumes.py` on {processor()}, "
        f"{datetime.date.today()}, with fastip {fastip.__version__}, torch {torch.__version__}, "
        f"scikit-image {version('scikit-image')}, SciPy {version('scipy')}, NumPy {np.__version__}.",
        "",
    ]
    if options.figure:
        from matplotlib.figure import Figure

        figure = Figure(facecolor="white")
        shown = {title: volume[None, None] ** 0.5 for title, volume in pictures.items()}
        figures.draw_volumes(figure, shown, spacing=(2, 1, 1))
        figure.savefig(options.figure, dpi=70)
        page.insert(-2, f"![Square roots of the brightest voxels, from three sides]({options.figure.name})\n")
    text = "\n".join(page)
    print(text)
    if options.output:
        replace_file(options.output, lambda file: file.write(text.encode()))


if __name__ == "__main__":
    main()
