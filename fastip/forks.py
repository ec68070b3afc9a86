"""What a child of fork may do: work on one thread.

The threads of an OpenMP team do not come along, and the runtime that torch brings waits for them for ever when a child
of a process that has had a team opens one. With one thread there is no team. The compiled kernels see a fork for
themselves.
"""

from __future__ import annotations

import os

import torch

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
