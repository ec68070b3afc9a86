"""Python as the tests start it."""

from __future__ import annotations

import sys

SAFE = ("-P",) if sys.version_info >= (3, 11) else ()  # no folder of the caller on the path; Python 3.10 lacks it
PYTHON = (sys.executable, *SAFE)
