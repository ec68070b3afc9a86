"""The part of the page and of the promises that is about restored photographs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

FASTIP, PLUGGED = "fastip", "plug and play, FFDNet"
# task: least gain over its baseline in dB, least gain in SSIM (None: none promised)
GAINS: dict[str, tuple[float, float | None]] = {
    "photo-sr4": (1.4, 0.03),
    "photo-sr4-wide": (2.2, None),
    "photo-deblur-motion": (5.5, None),
}
FASTER = 3.0  # plug and play's time over fastip's


def entries(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [e for e in found if e["kind"] == "restoration"]


def targets(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each promise with what was measured; None where its program did not run."""
    by_task = {e["task"]: e for e in entries(found)}
    for task, (gain, similarity) in GAINS.items():
        entry = by_task.get(task)
        rows = entry["rows"] if entry else {}
        ours, simple, plugged = rows.get(FASTIP), rows.get(entry["baseline"]) if entry else None, rows.get(PLUGGED)
        group = entry["group"] if entry else task
        over = entry["baseline"] if entry else "its baseline"
        difference = ours["psnr"] - simple["psnr"] if ours and simple else None
        yield promise(group, f"PSNR over {over}, dB", gain, difference)
        if similarity is not None:
            yield promise(
                group, f"SSIM over {over}", similarity, ours["ssim"] - simple["ssim"] if ours and simple else None
            )
        yield promise(
            group,
            f"{PLUGGED} / fastip, time",
            FASTER,
            plugged["median_ms"] / ours["median_ms"] if ours and plugged else None,
        )


def promise(group: str, what: str, least: float, measured: float | None) -> dict[str, Any]:
    return {
        "group": group,
        "what": what,
        "bound": f">= {least:g}",
        "measured": measured,
        "met": measured is not None and measured >= least,
    }


def lines(found: list[dict[str, Any]]) -> list[str]:
    """A table for each task: quality, time, and the ratio of times to fastip's."""
    page = []
    for entry in entries(found):
        rows = entry["rows"]
        page += [
            f"## {entry['group']}",
            "",
            "| program | PSNR, dB | SSIM | ms an image | times fastip | steps |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for title, row in sorted(rows.items(), key=lambda item: item[1]["psnr"]):
            spent = row.get("median_ms")
            times = ["not timed", ""] if spent is None else [f"{spent:.0f}", f"{spent / rows[FASTIP]['median_ms']:.2f}"]
            page.append(
                f"| {title} | {row['psnr']:.2f} | {row['ssim']:.4f} "
                f"| {times[0]} | {times[1]} | {row.get('steps', '')} |"
            )
        page += [*(["", *entry["absent"]] if entry["absent"] else []), ""]
    return page
