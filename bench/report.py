"""results/<machine>.json, .md and two figures out of the JSON file of a run.

Or out of the .jsonl files that the sessions on a GPU wrote as they went, taken together::

    python bench/report.py build/bench.json [folder]
    python bench/report.py CALL1/bench.jsonl CALL2/bench.jsonl [folder]

Times are medians; ratios are against fastip's entry of the same group in the same run.
A target that is missed is reported as missed.
"""

from __future__ import annotations

import json
import math
import pathlib
import re
import sys
from collections.abc import Iterator
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # python -P leaves it out

import gpu_lines
import gpu_report
import restoration_report

RESULTS = pathlib.Path(__file__).parent / "results"
COPY, FFT, COARSE = (
    "copy of 12 bytes per pixel",
    "six variables, FFT at full size",
    "six variables, FFT on the data grid",
)
CG_IMAGE, CG_DATA, DEEPINV = (
    "six variables, CG to 1e-5, image side",
    "six variables, CG to 1e-5, data side",
    "deepinv 0.5.0",
)

# group, program, least ratio of its time to fastip's: what the package promises (for the copy: at least 1 / 1.5)
TARGETS = [
    ("x4 24 planes of 256²", COPY, 1 / 1.5),
    ("x4 24 planes of 256²", FFT, 12.0),
    ("x4 24 planes of 256²", COARSE, 6.0),
    ("x4 24 planes of 256²", DEEPINV, 20.0),
    ("x4 24 planes of 256²", CG_IMAGE, 60.0),
    ("x4 24 planes of 256²", CG_DATA, 35.0),
    ("x4 3 planes of 1024²", COPY, 1 / 1.5),
    ("x4 3 planes of 1024²", FFT, 16.0),
    ("x4 3 planes of 1024²", COARSE, 6.0),
    ("x4 3 planes of 1024²", DEEPINV, 60.0),
    ("x4 3 planes of 1024²", CG_IMAGE, 60.0),
    ("x4 3 planes of 1024²", CG_DATA, 35.0),
    ("circular motion deblurring 24 planes of 256²", FFT, 2.0),
    ("circular motion deblurring 3 planes of 1024²", FFT, 2.0),
    ("valid motion deblurring 24 planes of 256², to a gap of 0.0001", CG_DATA, 20.0),
]
EXPONENT, TOLERANCE = 1.0, 0.07


def entries(run: dict[str, Any]) -> list[dict[str, Any]]:
    """One flat record for each benchmark; times in milliseconds."""
    found = []
    for b in run["benchmarks"]:
        s, extra = b["stats"], b["extra_info"]
        times = {
            "median_ms": 1e3 * s["median"],
            "min_ms": 1e3 * s["min"],
            "iqr_ms": 1e3 * s["iqr"],
            "rounds": s["rounds"],
        }
        found.append({"group": b["group"], **times, **extra})
    reference = {
        e["group"]: e["median_ms"] for e in found if e["program"] == "fastip" and e["kind"] in ("iteration", "gap")
    }
    for e in found:
        if e["group"] in reference:
            e["ratio"] = e["median_ms"] / reference[e["group"]]
    return found


def targets(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each promise with what was measured; None where its entry did not run."""
    for group, program, least in TARGETS:
        ratio = next((e["ratio"] for e in found if e["group"] == group and e["program"] == program), None)
        if program == COPY:  # read the other way round: fastip's time over the copy's
            measured = None if ratio is None else 1 / ratio
            yield {
                "group": group,
                "what": "fastip / " + COPY,
                "bound": "<= 1.5",
                "measured": measured,
                "met": measured and measured <= 1.5,
            }
        else:
            yield {
                "group": group,
                "what": program + " / fastip",
                "bound": f">= {least:g}",
                "measured": ratio,
                "met": ratio and ratio >= least,
            }
    slope = exponent(found)
    met = slope and abs(slope - EXPONENT) <= TOLERANCE
    yield {
        "group": "x4, pixels",
        "what": "exponent of time against pixels",
        "bound": f"{EXPONENT:.2f} ± {TOLERANCE}",
        "measured": slope,
        "met": met,
    }
    memory = next((e for e in found if e["kind"] == "memory"), None)
    used = memory and memory["extra"] / memory["allowed"]
    yield {
        "group": "memory, a fresh process",
        "what": "extra memory / (1.25 images + 8 y)",
        "bound": "<= 1",
        "measured": used,
        "met": used and used <= 1,
    }


def exponent(found: list[dict[str, Any]]) -> float | None:
    """Least-squares slope of log time against log pixels."""
    points = [(math.log(e["pixels"]), math.log(e["median_ms"])) for e in found if e["kind"] == "scaling"]
    if len(points) < 2:
        return None
    mx, my = (sum(v) / len(points) for v in zip(*points, strict=True))
    return sum((x - mx) * (y - my) for x, y in points) / sum((x - mx) ** 2 for x, _ in points)


# ---- the page --------------------------------------------------------------------------------------------------------


def page(machine: dict[str, Any], found: list[dict[str, Any]], promises: list[dict[str, Any]], name: str) -> str:
    """The Markdown table of every group, the promises, and what was tuned."""
    lines = heading(machine)
    for group in dict.fromkeys(e["group"] for e in found if "ratio" in e):
        rows = sorted((e for e in found if e["group"] == group), key=lambda e: e["median_ms"])
        unit = "ms per iteration" if rows[0]["kind"] == "iteration" else "ms"
        lines += [
            f"## {group}",
            "",
            f"| program | {unit}, median (least) | times fastip | how |",
            "|---|---:|---:|---|",
        ]
        lines += [
            f"| {e['program']} | {shown(e['median_ms'])} ({shown(e['min_ms'])}) | {shown(e['ratio'])} | {how(e)} |"
            for e in rows
        ] + [""]
    lines += ["## Time against pixels, memory", ""]
    lines += [
        f"- {e['size']}: {e['median_ms']:.3g} ms per iteration, {1e6 * e['median_ms'] / e['pixels']:.2f} ns per pixel"
        for e in found
        if e["kind"] == "scaling"
    ]
    lines += [
        f"- extra memory, {e['size']}: {e['extra'] / 2**20:.1f} MiB = {e['images']:.2f} images"
        for e in found
        if e["kind"] == "memory"
    ]
    lines += ["", *kept(promises)]
    lines += ["", f"![bars]({name}.png)", f"![scaling]({name}-scaling.png)", ""]
    return "\n".join(lines) + tuned(found)


def heading(machine: dict[str, Any]) -> list[str]:
    """The machine, the versions and the command."""
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    how = (
        f"kernels {machine['kernels'].get('isa')}; OMP_WAIT_POLICY={machine['omp_wait_policy']} `{machine['command']}`"
    )
    return [
        f"# {machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, {machine['kernels'].get('isa')}",
        "",
        f"{machine['date']}; {versions}; {how}",
        "",
    ]


def kept(promises: list[dict[str, Any]]) -> list[str]:
    """The table of promises."""
    rows = [f"| {p['group']} | {p['what']} | {p['bound']} | {shown(p['measured'])} | {verdict(p)} |" for p in promises]
    return ["## Promises", "", "| | | bound | measured | |", "|---|---|---:|---:|---|", *rows]


def how(entry: dict[str, Any]) -> str:
    """What belongs to a row besides its time."""
    parts = [f"{k} {entry[k]}" for k in ("iterations", "applications") if k in entry]
    parts += [f"{k} {entry[k]:g}" for k in ("beta", "relaxation", "tolerance") if k in entry]
    parts += [f"gap {entry['gap']:.1e}"] if "gap" in entry else []
    parts += [entry["inverse"]] if "inverse" in entry else []
    parts += [f"set-up of the first call {entry['first_setup_ms']:.0f} ms"] if "first_setup_ms" in entry else []
    return "; ".join(parts)


def shown(value: float | None) -> str:
    """Three digits, without an exponent."""
    return "did not run" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def verdict(promise: dict[str, Any]) -> str:
    return "" if promise["measured"] is None else "met" if promise["met"] else "**missed**"


def tuned(found: list[dict[str, Any]]) -> str:
    """The grid of the tuning, where it ran."""
    points = next((e["tuning"] for e in found if "tuning" in e), None)
    if points is None:
        return ""
    lines = [
        "## Tuning of valid deblurring, 3 planes of 64²",
        "",
        "Work: products per pixel (fastip), applications of A and its adjoint (CG), to the same gap.",
        "",
    ]
    lines += [
        "| program | beta | relaxation | half-width or tolerance | iterations | work |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for r in points:
        knob = r.get("half_width", r.get("tolerance"))
        lines.append(
            f"| {r['program']} | {r['beta']:g} | {r['relaxation']:g} | {knob:g} "
            f"| {r['iterations'] or 'not reached'} | {r['work'] or ''} |"
        )
    return "\n".join(["", *lines, ""])


# ---- the figures -----------------------------------------------------------------------------------------------------


def bars(found: list[dict[str, Any]], path: pathlib.Path) -> None:
    """One panel for each group, one bar for each program."""
    groups = list(dict.fromkeys(e["group"] for e in found if "ratio" in e))
    if not groups:
        return
    counts = [sum(e["group"] == g for e in found) for g in groups]
    figure, axes = plt.subplots(
        len(groups),
        1,
        figsize=(9, 0.9 * len(groups) + 0.32 * sum(counts)),
        squeeze=False,
        height_ratios=[c + 1 for c in counts],
        layout="constrained",
    )
    for axis, group in zip(axes[:, 0], groups, strict=True):
        rows = sorted((e for e in found if e["group"] == group), key=lambda e: -e["median_ms"])
        colours = [
            "#c2410c" if e["program"].startswith("fastip") else "#a8a29e" if e["program"] == COPY else "#475569"
            for e in rows
        ]
        axis.barh([e["program"] for e in rows], [e["median_ms"] for e in rows], color=colours, height=0.65)
        for i, e in enumerate(rows):
            axis.annotate(
                f" {shown(e['median_ms'])} ms, {shown(e['ratio'])} ×", (e["median_ms"], i), va="center", fontsize=8
            )
        axis.margins(x=0.25)
        axis.set_title(
            f"{group}: {'ms per iteration' if rows[0]['kind'] == 'iteration' else 'ms'}", loc="left", fontsize=9
        )
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def scaling(found: list[dict[str, Any]], path: pathlib.Path) -> None:
    """Time per iteration against pixels with the fitted power law."""
    points = sorted((e["pixels"], e["median_ms"]) for e in found if e["kind"] == "scaling")
    slope = exponent(found)
    if slope is None:
        return
    pixels, times = zip(*points, strict=True)
    offset = sum(math.log(t) - slope * math.log(p) for p, t in points) / len(points)
    figure, axis = plt.subplots(figsize=(5, 3.6), layout="constrained")
    axis.loglog(
        pixels, [math.exp(offset) * p**slope for p in pixels], color="#a8a29e", label=f"pixels to the power {slope:.3f}"
    )
    axis.loglog(pixels, times, "o", color="#c2410c", label="measured, median")
    axis.set(xlabel="pixels (3 planes)", ylabel="ms per iteration")
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def main(*arguments: str) -> int:
    """Writes the files and prints the promises; 0.

    Four files, and two for restored photographs and two for a GPU, of what the run holds of them.
    """
    sources = [pathlib.Path(a) for a in arguments if a.endswith((".json", ".jsonl"))]
    folder = next((pathlib.Path(a) for a in arguments if pathlib.Path(a) not in sources), RESULTS)
    run = gpu_lines.read(sources) if sources[0].suffix == ".jsonl" else json.loads(sources[0].read_text())
    machine, found = run["machine_info"]["fastip"], entries(run)
    name = slug(f"{machine['cpu']} {machine['cores']} cores {machine['kernels'].get('isa') or ''}")
    folder.mkdir(exist_ok=True)
    photographs, gpu = restoration_report.entries(found), gpu_report.entries(found)
    rest = [e for e in found if e not in photographs and e not in gpu]
    if rest:
        promises = list(targets(rest))
        write(folder / name, machine, rest, promises, page(machine, rest, promises, name))
        bars(rest, folder / f"{name}.png")
        scaling(rest, folder / f"{name}-scaling.png")
    if photographs:
        promises = list(restoration_report.targets(photographs))
        lines = [*heading(machine), *restoration_report.lines(photographs), *kept(promises), ""]
        write(folder / f"{name}-restoration", machine, photographs, promises, "\n".join(lines))
    if gpu:
        promises = list(gpu_report.targets(gpu))
        lines = [*gpu_report.heading(machine), *kept(promises), "", *gpu_report.lines(gpu)]
        write(folder / slug(machine["gpu"]["name"]), machine, gpu, promises, "\n".join(lines))
    return 0


def slug(text: str) -> str:
    """A file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def write(
    path: pathlib.Path, machine: dict[str, Any], found: list[dict[str, Any]], promises: list[dict[str, Any]], text: str
) -> None:
    """PATH.json and PATH.md; prints the promises."""
    path.with_name(f"{path.name}.json").write_text(
        json.dumps({"machine": machine, "entries": found, "promises": promises}, indent=1) + "\n"
    )
    path.with_name(f"{path.name}.md").write_text(text)
    for p in promises:
        print(f"{p['group']:62} {p['what']:76} {p['bound']:>12} {shown(p['measured']):>12} {verdict(p)}")
    print(f"written: {path}.md")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
