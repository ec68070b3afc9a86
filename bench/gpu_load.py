"""The first part of each call: versions, wheels, and an extension that runs: the carried one, else one built there."""

from __future__ import annotations

import atexit
import os
import pathlib
import shutil
import sys
import sysconfig
import tempfile

import gpu_build
from gpu_part import NO_DEVICE, Session
from gpu_process import ROOT

ASK = f"""
import sys, torch
if not torch.cuda.is_available():
    sys.exit({NO_DEVICE})
print("cc", *torch.cuda.get_device_capability(), sep="")
"""
VERSIONS = """
import platform, sys
import numpy, torch, fastip
from fastip.kernels import extension
name = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
trouble = extension.why_missing() if "--cpu" in sys.argv else extension.why_no_gpu(0)
if not trouble:
    try:  # an extension of other sources takes other arguments
        y = torch.ones(1, 1, 8, 8, device="cpu" if "--cpu" in sys.argv else "cuda")
        op = fastip.operators.Blur(fastip.psf.gaussian(5, sigma=1.0), stride=4, boundary="circular")
        solution = fastip.admm(y, op, fastip.priors.L1(1e-4), beta=1e-2, iterations=5, tolerance=0)
        trouble = None if bool(solution.x.isfinite().all()) else "a solve gives what is no number"
    except Exception as error:
        trouble = " ".join(str(error).split())[:100]
print(fastip.kernels.available())
versions = (platform.python_version(), torch.__version__, torch.version.cuda, numpy.__version__)
print("{}; Python {}, torch {}, CUDA {}, numpy {}".format(name, *versions))
print(trouble or "runs")
"""
EXTENSION = f"_C{sysconfig.get_config_var('EXT_SUFFIX')}"


def load(s: Session) -> int:
    """The GPU, the versions, the wheels, and an extension that runs."""
    for command in (("nvidia-smi",), ("nvcc", "--version")):
        if shutil.which(command[0]):
            s.run(15, *command)
    absent, lines = s.run(60, sys.executable, "-P", "-c", ASK)
    if absent and not s.rehearsal:
        s.say("no CUDA device: torch sees none")
        return NO_DEVICE
    s.capability = next((line.removeprefix("cc") for line in lines if line.startswith("cc")), "")
    wheels(s)
    there = carried(s)
    facts, state = versions(s)
    if state != "runs" and not s.rehearsal:
        s.say(f"the extension does not run ({state}): it is built here")
        gpu_build.build(s, ROOT, 60)
        there, (facts, state) = "built here", versions(s)
    s.result(f"load: {facts}")
    s.result(f"load: extension: {there}, {state}")
    return int(state != "runs")


def wheels(s: Session) -> None:
    """Carried packages go beside those that are there, for this process and those it starts."""
    found = sorted((s.carried / "wheels").glob("*.whl")) if s.carried else []
    if not found:
        s.say("no wheels are carried")
        return
    site = tempfile.mkdtemp(prefix="fastip-site-")
    atexit.register(shutil.rmtree, site, ignore_errors=True)
    options = ("-q", "--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--upgrade", "--target", site)
    pip = (sys.executable, "-m", "pip", "install", *options)
    if s.run(60, *pip, *found)[0]:  # one that does not fit this Python stops them all: then one by one
        for wheel in found:
            code, lines = s.run(20, *pip, wheel)
            s.say(f"{wheel.name}: {'ok' if code == 0 else (lines or ['NOT installed'])[-1][:120]}")
    s.environment["PYTHONPATH"] += os.pathsep + site
    s.say(f"{len(list(pathlib.Path(site).glob('*.dist-info')))} of {len(found)} wheels are installed")


def carried(s: Session) -> str:
    """Puts the carried extension into its place. A rehearsal leaves the package as it is and only loads the file."""
    file = s.carried / EXTENSION if s.carried else pathlib.Path(EXTENSION)
    if not file.exists():
        return f"none carried ({file.name})"
    if s.rehearsal:
        gpu_build.loads(s, file)
        return f"REHEARSAL: {file.name} is carried and not put into its place"
    shutil.copyfile(file, ROOT / "fastip" / EXTENSION)
    return "carried"


def versions(s: Session) -> tuple[str, str]:
    """(GPU and versions, 'runs' or why the extension does not)."""
    code, lines = s.run(60, sys.executable, "-P", "-c", VERSIONS, *(["--cpu"] if s.rehearsal else []))
    if code or len(lines) < 2:
        return "fastip cannot be imported", lines[-1] if lines else f"exit code {code}"
    return lines[-2], lines[-1]
