"""A measurement as Markdown: the machine, the table of targets, and the figures behind it."""

from __future__ import annotations

from typing import Any

from benchmarks.systems import LABELS
from benchmarks.targets import least_seconds, per_second, rows, shares


def markdown(measurement: dict[str, Any]) -> str:
    """Everything that is printed."""
    sections = measurement["sections"]
    parts = [heading(measurement)]
    lines = [[row.work, row.target, row.reached, row.verdict] for row in rows(sections)]
    parts.append(table(["work", "target", "reached", "verdict"], lines))
    works = [
        work
        for name in ("steps", "batches", "inference", "trained")
        for work in sections.get(name, {}).get("works", [])
    ]
    if works:
        header = ["work", "system", "batch", "images/s", "scratchnet is faster by", "peak memory"]
        parts.append(table(header, [line for work in works for line in systems(work)]))
    if "limit" in sections:
        parts.append(table(["layer", "forward", "backward", "limit", "share of the limit"], layers(sections["limit"])))
    return "\n\n".join(parts)


def heading(measurement: dict[str, Any]) -> str:
    """Machine, versions, date, and a warning where the sizes were tiny."""
    machine, settings = measurement["machine"], measurement["settings"]
    gigabytes = f", {machine['memory_bytes'] / 1e9:.0f} GB" if machine["memory_bytes"] else ""
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    text = (
        f"Measured on {machine['date'][:10]} on {machine['processor']}, {machine['processors']} processors{gigabytes}, "
        f"{machine['system']}; float32, {settings['threads']} threads, "
        f"medians of {settings['rounds']} round(s) in turns; {versions}."
    )
    return text + (" Tiny sizes: the figures mean nothing." if settings["tiny"] else "")


def table(header: list[str], lines: list[list[str]]) -> str:
    """A table in Markdown."""
    marked = [f"| {' | '.join(line)} |" for line in (header, *lines)]
    return "\n".join([marked[0], "|---" * len(header) + "|", *marked[1:]])


def systems(work: dict[str, Any]) -> list[list[str]]:
    """The lines of one work, one a system."""
    lines = []
    for name, one in work["systems"].items():
        if "median" not in one:
            lines.append([work["title"], LABELS[name], "", f"not available: {one['not_available']}", "", ""])
            continue
        rates = one["images_per_s"]
        ratio = work["ratios"].get(name)
        lines.append(
            [
                work["title"],
                LABELS[name],
                str(one["batch"]),
                f"{per_second(one['median'])} ({per_second(min(rates))}–{per_second(max(rates))})",
                f"{ratio['median']:.2f}×" if ratio else "",
                f"{one['peak_bytes'] / 1e9:.2f} GB" if one["peak_bytes"] else "",
            ]
        )
    return lines


def layers(figures: dict[str, Any]) -> list[list[str]]:
    """The lines of the section limit, with the total."""
    lines = []
    for layer in figures["layers"]:
        least = sum(least_seconds(layer, figures["flop_per_s"]))
        lines.append([layer["layer"], *map(milliseconds, (*layer["seconds"], least)), share(least, layer["seconds"])])
    whole = shares(figures)
    passes = [sum(layer["seconds"][i] for layer in figures["layers"]) for i in (0, 1)]
    total = [f"all, batch {figures['work']['batch']}", *map(milliseconds, (*passes, whole["least"]))]
    return [*lines, [*total, share(whole["least"], passes)]]


def share(least: float, seconds: list[float]) -> str:
    """Of the limit; empty if there is no multiplication."""
    return f"{least / sum(seconds):.0%}" if least else ""


def milliseconds(seconds: float) -> str:
    """In ms, with three digits at least."""
    return f"{seconds * 1000:.3g} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"
