"""Whether the quick suite catches seeded bugs: .venv/bin/python tests/mutations/run.py [--list] [NAME ...].

The files that git does not ignore are copied to a temporary folder, and one bug after the other is put in there; the
working tree is never changed. First come the tests that are most likely to catch it, then, if all of them pass, the
whole quick suite (--likely: never). Exit code 1: more than one bug was missed; 2: the copy cannot be built, or its
tests fail without a bug (--trust: not looked at).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # where the tests' own packages lie
from cases.programs import SAFE  # noqa: E402
from mutations.mutation import Mutation  # noqa: E402
from mutations.mutations import MUTATIONS  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
# As `make test` has it, without the test of the table itself, which sees every bug by its text.
LEFT_OUT = "not slow and not gpu_tools and not web"
QUICK = ("-n", "2", "--dist", "loadfile", "-m", LEFT_OUT, "-q", "--ignore", "tests/mutations")
ALLOWED = 1  # bugs that may be missed
LONGEST = 1800  # seconds of one run of tests: a bug that makes a loop endless is caught too
FIRST = re.compile(r"^(?:FAILED|ERROR) (tests/.*?)(?: - .*)?$", re.MULTILINE)


class Failed(Exception):
    """The copy cannot be built or tested."""


class Copy:
    """The files that git does not ignore in another folder, the extension built, and an environment that imports them.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.root, self.build = folder / "copy", folder / "copy" / "build" / "mutations"
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():  # not one that is deleted and still tracked
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.root / name)
        self.python = self._environment(folder / "environment")
        scripts = os.pathsep.join([str(self.python.parent), sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
        self.variables = os.environ | {"PATH": scripts, "PYTHONPATH": str(self.root), "OMP_NUM_THREADS": "1"}
        hooks = self._run(str(self.python), *SAFE, "-m", "pybind11", "--cmakedir").strip()
        options = {"CMAKE_BUILD_TYPE": "Release", "FASTIP_CUDA": "OFF", "Python_EXECUTABLE": sys.executable}
        defined = [f"-D{name}={value}" for name, value in (options | {"pybind11_DIR": hooks}).items()]
        self._run("cmake", "-S", str(self.root), "-B", str(self.build), "-G", "Ninja", *defined)
        self.compile()
        places = "import fastip._C; print(fastip.__file__, fastip._C.__file__)"
        told = self._run(str(self.python), *SAFE, "-c", places).split()
        if not all(Path(place).is_relative_to(self.root) for place in told):
            raise Failed(f"the tests would import {told}, not the copy {self.root}")

    @staticmethod
    def _environment(folder: Path) -> Path:
        """The python of an environment that sees the packages of this one, and not its editable fastip.

        A .pth file that names a folder adds it to the path, and the .pth files in there are not read.
        """
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        python = folder / "bin" / "python"
        asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        own = Path(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip())
        packages = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
        (own / "packages.pth").write_text("".join(f"{path}\n" for path in packages))
        return python

    def _run(self, *command: str) -> str:
        done = subprocess.run(command, cwd=self.root, env=self.variables, capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return done.stdout

    def compile(self) -> None:
        """Build what has changed, and put the extension beside the package."""
        self._run("ninja", "-C", str(self.build))
        for path in self.build.glob("_C*.so"):
            shutil.copy2(path, self.root / "fastip" / path.name)

    def write(self, mutation: Mutation, text: str) -> None:
        """The file of a mutation with this text."""
        path = self.root / mutation.file
        path.write_text(text)
        # A bytecode file is valid for size and second of its source, both of which a mutation can keep.
        shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)
        if mutation.compiled:
            self.compile()

    def test(self, *paths: str) -> str | None:
        """The first test of the quick suite in these paths that fails, None where all pass."""
        command = [str(self.python), *SAFE, "-m", "pytest", *QUICK, "-x", *(f"tests/{path}" for path in paths)]
        process = subprocess.Popen(
            command,
            cwd=self.root,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            told, _ = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            return f"no end within {LONGEST} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # the group that was started here
                process.wait()
        if process.returncode == 0:
            return None
        found = FIRST.search(told)
        if found is None:
            raise Failed(f"pytest {' '.join(paths)} ended with {process.returncode}:\n{told[-4000:]}")
        return found[1]


def tried(copy: Copy, mutation: Mutation, whole: bool) -> str | None:
    """The test that catches this bug, or None; ``whole``: look for it in the whole quick suite, too."""
    original = (copy.root / mutation.file).read_text()
    if original.count(mutation.old) != 1:
        raise Failed(f"{mutation.name}: its text stands {original.count(mutation.old)} times in {mutation.file}")
    try:
        copy.write(mutation, original.replace(mutation.old, mutation.new))
        return copy.test(*mutation.likely) or (copy.test("") if whole else None)
    finally:
        copy.write(mutation, original)


def chosen(names: list[str]) -> list[Mutation]:
    """Those of these names, all without any."""
    known = {mutation.name: mutation for mutation in MUTATIONS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"no such mutation: {', '.join(unknown)}; --list tells their names")
    return [known[name] for name in names] or list(MUTATIONS)


def main() -> int:
    """The table on stdout; see the top of this file for the exit code."""
    parser = argparse.ArgumentParser(description="Whether the quick suite catches seeded bugs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutations to try, all by default")
    parser.add_argument("--list", action="store_true", help="tell the mutations and leave")
    parser.add_argument("--trust", action="store_true", help="do not run the tests without a bug first")
    parser.add_argument("--likely", action="store_true", help="the likely tests alone, never the whole quick suite")
    asked = parser.parse_args()
    mutations = chosen(asked.names)
    if asked.list:
        for mutation in mutations:
            print(f"{mutation.name:36}{mutation.file:44}{mutation.breaks}")
        return 0
    missed = 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was begun is cleaned up
    with tempfile.TemporaryDirectory(prefix="fastip-mutations-") as folder:
        try:
            copy = Copy(Path(folder))
            likely = dict.fromkeys(path for mutation in mutations for path in mutation.likely)
            if not asked.trust and (failing := copy.test(*(likely if asked.likely else [""]))) is not None:
                raise Failed(f"without a bug {failing} fails already")
            for mutation in mutations:
                begun = time.perf_counter()
                caught = tried(copy, mutation, not asked.likely)
                missed += caught is None
                verdict = "MISSED" if caught is None else f"CAUGHT by {caught.removeprefix('tests/')}"
                print(f"{mutation.name:36}{time.perf_counter() - begun:6.0f} s  {verdict}", flush=True)
        except Failed as error:
            print(error, file=sys.stderr)
            return 2
    print(f"{len(mutations) - missed} of {len(mutations)} caught")
    return int(missed > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
