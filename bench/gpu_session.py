"""Everything that needs a GPU, in one call: build, tests, checkers, profile, benchmark, page; each part within its time, and no part stops a later one.

    python bench/gpu_session.py [OUT] [--seconds 570] [--parts build,tests,...] [--wheels FOLDER]

Builds the extension in place for the GPU at hand, without the network: CMake, ninja, pybind11 and nvcc must be there. OUT gets session.txt (all output),
profile.csv, bench.json, and the page of the benchmark as .json and .md, which bench/results/ gets, too. FASTIP_BENCH_DEVICE=cpu rehearses sanitize (the
kernels, no checker) and bench.
Exits with 0 where every part is green, with 3 where the only trouble is that there is no CUDA device, else with 1.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parent.parent
NO_DEVICE, OVER_TIME, NO_COMMAND = 3, 124, 127
WORDS = {0: "ok", NO_DEVICE: "NO CUDA DEVICE", OVER_TIME: "OVER TIME", NO_COMMAND: "A PROGRAM IS MISSING"}
TOOLS = ("memcheck", "racecheck", "synccheck")
CHECKERS = 6  # at a time
BENCHMARKS = ("bench/bench_gpu.py", "bench/bench_gpu_kernels.py", "bench/bench_gpu_nets.py")
ASK = "import sys, torch; ok = torch.cuda.is_available(); print('cc', *torch.cuda.get_device_capability(), sep='') if ok else None; sys.exit(0 if ok else 3)"
VERSIONS = "import sys, torch, fastip; print(sys.version, torch.__version__, torch.version.cuda, fastip.kernels.available(), sep='\\n')"


@dataclass
class Session:
    """Where the output goes, when time is over, and what the programs see."""

    out: pathlib.Path
    end: float
    wheels: pathlib.Path | None = None
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def left(self) -> float:
        return self.end - time.monotonic()

    def say(self, text: str) -> None:
        """To the screen and to session.txt."""
        print(text, flush=True)
        with (self.out / "session.txt").open("a") as log:
            log.write(text + "\n")

    def run(self, limit: float, *command: str | pathlib.Path, quiet: bool = False, **environment: str) -> tuple[int, str]:
        """(exit code, output) of a command, shown as it comes. After ``limit`` seconds it is interrupted, and killed 15 seconds later."""
        words = [str(word) for word in command]
        show: Callable[[str], None] = (lambda line: None) if quiet else self.say
        show("$ " + shlex.join(words))
        seen = self.environment | environment
        try:
            process = subprocess.Popen(words, cwd=ROOT, env=seen, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        except OSError as error:
            self.say(str(error))
            return NO_COMMAND, str(error)
        lines: list[str] = []

        def read() -> None:
            for line in process.stdout or ():
                lines.append(line.rstrip("\n"))
                show(lines[-1])

        reader = threading.Thread(target=read)
        reader.start()
        code = _waited(process, max(5.0, min(limit, self.left)))
        reader.join()
        return code, "\n".join(lines)

    def python(self, limit: float, *arguments: str | pathlib.Path, **environment: str) -> int:
        """The exit code of this Python on a file or module of the repository."""
        return self.run(limit, sys.executable, "-P", *arguments, **environment)[0]


def _waited(process: subprocess.Popen[str], limit: float) -> int:
    for wait, then in ((limit, signal.SIGINT), (15.0, signal.SIGKILL)):
        try:
            code = process.wait(wait)
            return OVER_TIME if then is signal.SIGKILL else code
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, then)
    process.wait()
    return OVER_TIME


def rehearsal() -> bool:
    return os.environ.get("FASTIP_BENCH_DEVICE") == "cpu"


# ---- the parts: each says what it does and returns an exit code -----------------------------------------------------


def device(s: Session) -> int:
    """The GPU, its driver, the compiler."""
    s.run(20, "nvidia-smi")
    s.run(20, "nvcc", "--version")
    return s.python(20, "-c", ASK)


def wheels(s: Session) -> int:
    """Packages from the folder --wheels, beside those that are there."""
    if s.wheels is None:
        s.say("no --wheels: nothing to install")
        return 0
    site = s.out.parent / f"{s.out.name}-site"
    options = ("--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--upgrade", "--target", site)
    code, _ = s.run(60, sys.executable, "-m", "pip", "install", "-q", *options, *sorted(s.wheels.glob("*.whl")))
    s.environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{site}"
    return code


def build(s: Session) -> int:
    """The extension with CUDA, for this GPU alone, in place."""
    if shutil.which("nvcc") is None and "CUDACXX" not in os.environ:
        s.say("no CUDA compiler: nvcc is not on the PATH and CUDACXX is not set")
        return NO_COMMAND
    _, asked = s.run(30, sys.executable, "-c", ASK, quiet=True)
    found = asked.removeprefix("cc") if asked.startswith("cc") else "90"
    architectures = os.environ.get("FASTIP_CUDA_ARCHS") or f"{found}-real"
    code, pybind = s.run(30, sys.executable, "-m", "pybind11", "--cmakedir", quiet=True)
    if code:
        s.say(f"pybind11 is not there: {pybind}")
        return NO_COMMAND
    folder = ROOT / "build" / "gpu"
    options = ("-DFASTIP_CUDA=ON", f"-DFASTIP_CUDA_ARCHS={architectures}", f"-Dpybind11_DIR={pybind}", f"-DPython_EXECUTABLE={sys.executable}")
    for command in (
        ("cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", *options),
        ("cmake", "--build", folder),
        ("cmake", "--install", folder, "--prefix", ROOT),
    ):
        code, _ = s.run(150, *command)
        if code:
            return code
    return s.python(30, "-c", VERSIONS)


def tests(s: Session) -> int:
    """pytest -m gpu on the files that have such tests."""
    files = [p for p in sorted((ROOT / "tests").rglob("test_*.py")) if any(word in p.read_text() for word in ("mark.gpu", "gpu_cases"))]
    return s.python(400, "-m", "pytest", "-m", "gpu", "-q", "--durations=10", "-p", "no:cacheprovider", *files)


def sanitize(s: Session) -> int:
    """Every kernel family on small sizes, under each checker of compute-sanitizer."""
    script = ROOT / "bench" / "sanitize_families.py"
    if rehearsal():
        return s.python(60, script)
    listed = "import sys; sys.path.insert(0, 'bench'); import sanitize_families as s; print(*s.FAMILIES)"
    code, names = s.run(30, sys.executable, "-P", "-c", listed, quiet=True)
    if code:
        s.say(names)
        return code

    def checked(tool: str, name: str) -> tuple[str, str, int, str]:
        # Allocations one by one, so that a step past the end of one is a step out of memory.
        command = ("compute-sanitizer", "--tool", tool, "--error-exitcode", "9", "--print-limit", "10", sys.executable, "-P", script, name)
        return (tool, name, *s.run(120, *command, quiet=True, PYTORCH_NO_CUDA_MEMORY_CACHING="1"))

    worst = 0
    with concurrent.futures.ThreadPoolExecutor(CHECKERS) as pool:
        for tool, name, code, output in pool.map(lambda job: checked(*job), [(t, n) for t in TOOLS for n in names.split()]):
            summary = [line for line in output.splitlines() if "SUMMARY" in line]
            s.say(f"{tool:10} {name:22} {WORDS.get(code, f'FAILED ({code})'):16} {' '.join(summary)}")
            if code:
                s.say("\n".join(output.splitlines()[-60:]))
            worst = worst or code
    return worst


def profile(s: Session) -> int:
    """ncu on the kernels of admm: time, bytes, share of the memory's peak, occupancy."""
    listed = "import sys; sys.path.insert(0, 'bench'); import profile_admm as p; print(','.join(p.METRICS))"
    code, metrics = s.run(30, sys.executable, "-P", "-c", listed, quiet=True)
    if code:
        s.say(metrics)
        return code
    file, script = s.out / "profile.csv", ROOT / "bench" / "profile_admm.py"
    ncu = ("ncu", "--profile-from-start", "off", "--clock-control", "none", "--csv", "--page", "raw", "--metrics", metrics, "--log-file", file)
    code, _ = s.run(60, *ncu, sys.executable, "-P", script)
    return code or s.python(20, script, "table", file)


def bench(s: Session) -> int:
    """The benchmark; what does not fit into the time is left out and the rest is written."""
    limit = s.left - 20
    options = ("--benchmark-only", "--benchmark-columns=median,min,rounds", "-q", "-p", "no:cacheprovider", f"--benchmark-json={s.out / 'bench.json'}")
    return s.python(limit, "-m", "pytest", *BENCHMARKS, *options, FASTIP_BENCH_SECONDS=str(int(limit - 30)))


def page(s: Session) -> int:
    """The page of the benchmark, and what was promised."""
    file = s.out / "bench.json"
    if not file.exists():
        s.say("there is no bench.json: the benchmark wrote no results")
        return 1
    code = s.python(20, ROOT / "bench" / "report.py", file, s.out)
    return code if code or rehearsal() else s.python(20, ROOT / "bench" / "report.py", file)


# part: least seconds it is started with, whether it needs a device
PARTS: dict[Callable[[Session], int], tuple[float, bool]] = {
    device: (0, True),
    wheels: (10, False),
    build: (20, False),
    tests: (20, True),
    sanitize: (20, True),
    profile: (20, True),
    bench: (60, True),
    page: (5, True),
}
REHEARSED = (sanitize, bench, page)


def perform(s: Session, part: Callable[[Session], int], absent: bool) -> tuple[int, str]:
    """(exit code, word for the summary)."""
    least, needs = PARTS[part]
    if s.left < least:
        return OVER_TIME, "NO TIME LEFT"
    if needs and absent and part is not device and not (rehearsal() and part in REHEARSED):
        s.say("no CUDA device: this part needs one")
        return NO_DEVICE, WORDS[NO_DEVICE]
    try:
        code = part(s)
    except Exception as error:  # a broken part must not stop the next one
        s.say(f"{type(error).__name__}: {error}")
        return 1, "FAILED"
    if code == NO_DEVICE:
        s.say("no CUDA device: torch sees none")
    return code, WORDS.get(code, f"FAILED ({code})")


def main() -> int:
    """All parts, then the table of how they went."""
    names = {part.__name__: part for part in PARTS}
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=pathlib.Path, nargs="?", default=ROOT / "build" / "gpu-session", help="folder for the results")
    parser.add_argument("--seconds", type=float, default=570, help="time for everything")
    parser.add_argument("--parts", default=",".join(names), help="some of " + ",".join(names))
    parser.add_argument("--wheels", type=pathlib.Path, help="folder of wheels to install first, into a folder beside OUT")
    given = parser.parse_args()
    unknown = [name for name in given.parts.split(",") if name not in names]
    if unknown:
        parser.error(f"unknown parts {', '.join(unknown)}; expected some of {', '.join(names)}")
    out = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    session = Session(out, time.monotonic() + given.seconds, given.wheels and given.wheels.resolve(), environment)
    absent = session.run(60, sys.executable, "-c", ASK, quiet=True)[0] != 0
    table = []
    for name in given.parts.split(","):
        part, start = names[name], time.monotonic()
        session.say(f"\n==== {name}: {part.__doc__} ({session.left:.0f} s left)")
        code, word = perform(session, part, absent)
        table.append((name, word, code, time.monotonic() - start))
    session.say("\n==== summary")
    for name, word, _, seconds in table:
        session.say(f"{name:10} {word:22} {seconds:6.1f} s")
    codes = {code for _, _, code, _ in table} - {0}
    return 0 if not codes else NO_DEVICE if codes == {NO_DEVICE} else 1


if __name__ == "__main__":
    sys.exit(main())
