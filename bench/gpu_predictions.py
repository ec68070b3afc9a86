"""What was predicted for one H200 before anything ran on it, counted from machine code and traffic of memory.

Microseconds of an iteration. The model: 2.5 to 3 warp instructions a clock at 1.75 to 1.9 GHz, 4.3 TB/s of memory.
A copy slower than 3.9 TB/s says that the machine is disturbed; a share below 0.35 while few instructions are issued,
that the model is wrong, as latency binds; a float32 error above 2e-5 that differs between runs, that there is a race.
"""

from __future__ import annotations

from gpu_report import CG, CHIP, COPIES, FASTIP, FULL, LARGE, MANY, ONE, SWEEPS, TRITON

BY_PHASE = f"{CHIP}, margins by phase"
PREDICTED: dict[tuple[str, str], tuple[float, float]] = {
    **{(LARGE, copy): (70, 75) for copy in COPIES},
    **{(MANY, copy): (281, 300) for copy in COPIES},
    (LARGE, SWEEPS): (140, 180),
    (MANY, SWEEPS): (530, 690),
    (LARGE, f"{SWEEPS}, bfloat16"): (126, 180),
    (MANY, f"{SWEEPS}, bfloat16"): (480, 690),
    (LARGE, TRITON): (126, 250),
    (MANY, TRITON): (480, 970),
    (MANY, CHIP): (310, 400),
    (MANY, BY_PHASE): (580, 750),
    (ONE, CHIP): (4, 6),
    (ONE, BY_PHASE): (8, 13),
    (ONE, FASTIP): (17, 25),
    (ONE, FULL): (60, 90),
    **{(ONE, program): (500, 1000) for program in CG},
}


def beside(group: str, program: str, micro: float) -> str:
    """'predicted 140 to 180: slower'; empty where nothing was predicted."""
    found = PREDICTED.get((group, program))
    if found is None:
        return ""
    low, high = found
    return f"predicted {low:g} to {high:g}: {'faster' if micro < low else 'slower' if micro > high else 'so it is'}"
