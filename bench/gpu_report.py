"""The page of a GPU and what the package promises on one.

Times are medians; ratios and shares are taken within one run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

FASTIP = "fastip, native"
SWEEPS, CHIP, TRITON = (f"fastip's kernel, {name}" for name in ("native, two passes", "native, on the chip", "triton"))
COPIES = ("copy of 12 bytes per pixel by driver", "copy of 12 bytes per pixel by kernel")
FULL = "six variables, FFT at full size"
CG = (
    "six variables, CG to 1e-5, image side",
    "six variables, CG to 1e-5, data side",
    "six variables, CuPy's CG to 1e-5, data side",
)
DEEPINV = "deepinv 0.5.0"
LARGE, MANY, ONE = "GPU, x4 24 planes of 1024²", "GPU, x4 1536 planes of 256²", "GPU, x4 3 planes of 256²"
# group: least ratio of a program's time to that of fastip as a user calls it
FASTER = {
    LARGE: {FULL: 10.0, **dict.fromkeys(CG, 60.0), DEEPINV: 20.0},
    MANY: {FULL: 10.0, **dict.fromkeys(CG, 60.0), DEEPINV: 20.0},
    ONE: {FULL: 20.0, **dict.fromkeys(CG, 60.0), DEEPINV: 20.0},
}
SHARE = 0.7  # of the copy, of the fused kernel in float32, at 12 bytes per pixel
TRITON_SLOWER = 1.3  # than the compiled kernel, at most
# images of 3 x 256^2 a second, 30 iterations each; the second is wished for where planes stay on the chip
RATE, ON_CHIP = 42_000.0, 100_000.0


def entries(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What ran on a GPU, with shares of the copy's speed, images a second and terabytes a second.

    Of what ran in several runs, the first is kept.
    """
    mine = [e for e in found if e["kind"].startswith("gpu")]
    copies = [e for e in mine if e["group"] == "GPU, copy of an image"]
    speed = max((e["bytes"] / e["median_ms"] for e in copies), default=None)
    for e in mine:
        group = {
            other["program"]: other
            for other in mine
            if other["group"] == e["group"] and other.get("run") == e.get("run")
        }
        floor = min((group[c]["median_ms"] for c in COPIES if c in group), default=None)
        if e["kind"] == "gpu iteration":
            e["images_per_s"] = 1e3 * e["images"] / (e["median_ms"] * e["iterations"])
            moved = e.get("bytes_moved", 3 * e.get("state_bytes", 4)) * e["pixels"]
            e["terabytes_per_s"] = moved / e["median_ms"] / 1e9
            e["share"] = (
                floor and floor * e.get("state_bytes", 4) / 4 / e["median_ms"] if "bytes_moved" not in e else None
            )
            e["ratio"] = e["median_ms"] / group[FASTIP]["median_ms"] if FASTIP in group else None
        elif e["kind"] == "gpu kernel":
            e["terabytes_per_s"] = e["bytes"] / e["median_ms"] / 1e9
            e["share"] = speed and e["bytes"] / e["median_ms"] / speed
        else:
            e["images_per_s"] = 1e3 * e["images"] / e["median_ms"]
            e["teraflops"] = e["operations"] / e["median_ms"] / 1e9
    first = {(e["group"], e["program"]): e for e in reversed(mine)}
    return [e for e in mine if first[e["group"], e["program"]] is e]


def targets(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each promise with what was measured; None where a program did not run."""
    at = {(e["group"], e["program"]): e for e in found}

    def time(group: str, program: str) -> float | None:
        entry = at.get((group, program))
        return None if entry is None else entry["median_ms"]

    for group in (LARGE, MANY):
        share = at.get((group, SWEEPS), {}).get("share")
        yield promise(group, f"{SWEEPS}: speed / that of the copy, 12 bytes per pixel", ">=", SHARE, share)
        yield promise(
            group, f"{TRITON} / {SWEEPS}, time", "<=", TRITON_SLOWER, quotient(time(group, TRITON), time(group, SWEEPS))
        )
    for group, programs in FASTER.items():
        for program, least in programs.items():
            yield promise(group, f"{program} / {FASTIP}, time", ">=", least, at.get((group, program), {}).get("ratio"))
    for program, least in ((SWEEPS, RATE), (FASTIP, RATE), (CHIP, ON_CHIP)):
        yield promise(MANY, f"{program}: images a second", ">=", least, at.get((MANY, program), {}).get("images_per_s"))


def quotient(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a / b


def promise(group: str, what: str, sign: str, bound: float, measured: float | None) -> dict[str, Any]:
    met = measured is not None and (measured >= bound if sign == ">=" else measured <= bound)
    return {"group": group, "what": what, "bound": f"{sign} {bound:g}", "measured": measured, "met": met}


def heading(machine: dict[str, Any]) -> list[str]:
    """The GPU, the versions and the command."""
    gpu = machine["gpu"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    facts = (
        f"{gpu['memory_gib']} GiB, {gpu['multiprocessors']} multiprocessors, "
        f"{gpu['cache_mib']} MiB of cache, capability {gpu['capability']}"
    )
    return [
        f"# {gpu['name']}",
        "",
        f"{facts}, CUDA {gpu['cuda']}; {machine['cpu']}, {machine['cores']} cores; {machine['date']}; "
        f"{versions}; `{machine['command']}`",
        "",
        "Times are medians, waited for by the host, whole solves from y to x divided by their 30 iterations. "
        "Share: of the speed of the faster of two copies of as many bytes (12 per pixel and iteration in float32).",
        "",
    ]


def lines(found: list[dict[str, Any]]) -> list[str]:
    """A table for each group, the fastest program first."""
    page: list[str] = []
    for group in dict.fromkeys(e["group"] for e in found):
        rows = sorted((e for e in found if e["group"] == group), key=lambda e: e["median_ms"])
        page += [f"## {group}", "", *_TABLES[rows[0]["kind"]](rows), ""]
    return page


def _iterations(rows: list[dict[str, Any]]) -> list[str]:
    head = (
        f"| program | µs per iteration, median (least) | times {FASTIP} | TB/s | share of the copy | images/s | how |"
    )
    table = [head, "|---|---:|---:|---:|---:|---:|---|"]
    for e in rows:
        ours = e["program"].startswith(("fastip", "copy"))  # bytes are counted for these alone
        cells = [
            _micro(e),
            _number(e["ratio"]),
            _number(e["terabytes_per_s"]) if ours else "",
            _percent(e["share"]) if ours else "",
        ]
        table.append(f"| {e['program']} | {' | '.join(cells)} | {_number(e['images_per_s'])} | {_how(e)} |")
    return table


def _kernels(rows: list[dict[str, Any]]) -> list[str]:
    table = ["| program | µs a call, median (least) | TB/s | share of the copy |", "|---|---:|---:|---:|"]
    return table + [
        f"| {e['program']} | {_micro(e)} | {_number(e['terabytes_per_s'])} | {_percent(e['share'])} |" for e in rows
    ]


def _networks(rows: list[dict[str, Any]]) -> list[str]:
    table = ["| program | µs a call, median (least) | images/s | TFLOP/s |", "|---|---:|---:|---:|"]
    return table + [
        f"| {e['program']} | {_micro(e)} | {_number(e['images_per_s'])} | {_number(e['teraflops'])} |" for e in rows
    ]


_TABLES = {"gpu iteration": _iterations, "gpu kernel": _kernels, "gpu network": _networks}


def _how(entry: dict[str, Any]) -> str:
    parts = [entry["how"]] if "how" in entry else []
    parts += [f"objective {entry['objective_excess']:+.0e}"] if "objective_excess" in entry else []
    parts += [f"difference {entry['difference']:.0e}"] if "difference" in entry else []
    return "; ".join(parts)


def _micro(entry: dict[str, Any]) -> str:
    return f"{_number(1e3 * entry['median_ms'])} ({_number(1e3 * entry['min_ms'])})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"
