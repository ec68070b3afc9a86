"""Python as the tests start it."""

from __future__ import annotations

import sys

import pytest
import torch

SAFE = ("-P",) if sys.version_info >= (3, 11) else ()  # no folder of the caller on the path; Python 3.10 lacks it
PYTHON = (sys.executable, *SAFE)
# of the default beta, of norms, ...
traces_constants = pytest.mark.skipif(
    torch.__version__.startswith("2.6."), reason="torch.compile of PyTorch 2.6 makes no constants of what takes objects"
)
