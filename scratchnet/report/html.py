"""The pieces of the page: text that is safe to show, pictures inside the page, tables, and the style of it all."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

from scratchnet.command_line import printable


def safe(text: object) -> str:
    """The text for a page: markup means nothing in it, and what would disturb the reading is escaped.

    >>> safe('<b>"A & B"')
    '&lt;b&gt;&quot;A &amp; B&quot;'
    """
    return html.escape(printable(str(text)))


def prose(text: object) -> str:
    """`safe`, and no line ends between a number and its per cent.

    >>> prose("71.4 % of <them>")
    '71.4&nbsp;% of &lt;them&gt;'
    """
    return safe(text).replace(" %", "&nbsp;%")


def breakable(text: object) -> str:
    """`safe`, for paths and names of settings: on a narrow screen a line ends after a _ or a /.

    >>> breakable("runs/a_b")
    'runs/<wbr>a_<wbr>b'
    """
    return safe(text).replace("_", "_<wbr>").replace("/", "/<wbr>")


def picture(content: bytes, alt: str, *, form: str = "svg", kind: str = "plot") -> str:
    """An <img> with the picture inside it, as a data URI: the page needs no other file."""
    mime = {"svg": "image/svg+xml", "png": "image/png"}[form]
    return f'<img class="{kind}" alt="{safe(alt)}" src="data:{mime};base64,{base64.b64encode(content).decode()}">'


def figure(image: str, caption: str = "", kind: str = "") -> str:
    """A picture with what it shows below it; the caption is HTML."""
    below = f"<figcaption>{caption}</figcaption>" if caption else ""
    return f'<figure class="{kind}">{image}{below}</figure>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table whose cells are HTML; the first of each row names it. Without a head where `head` is empty."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>' for row in rows
    )
    return f'<table class="{kind}">{f"<thead><tr>{top}</tr></thead>" if head else ""}<tbody>{body}</tbody></table>'


def wide(content: str) -> str:
    """A table that may be wider than the screen: it is scrolled sideways, and the first column stays."""
    return f'<div class="wide" tabindex="0">{content}</div>'


def details(title: str, content: str) -> str:
    """Something that is folded away until it is asked for."""
    return f"<details><summary>{safe(title)}</summary>{content}</details>"


def section(title: str, *parts: str) -> str:
    """A part of the page with its heading."""
    return f"<section><h2>{safe(title)}</h2>{''.join(parts)}</section>"


def document(title: str, body: str) -> str:
    """A whole page. Its policy forbids it to load or to run anything, whatever might have slipped into a name."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{safe(title)}</title><style>{STYLE}</style></head>\n<body><main>{body}</main></body></html>\n"
    )


STYLE = """
:root { --paper: #fbfaf8; --card: #fff; --ink: #23272c; --soft: #626c76; --line: #e4e0d9; --rust: #b23c0a; --shade: 193 68 14; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #17191c; --card: #1f2226; --ink: #e7e4de; --soft: #a3acb4; --line: #363b41; --rust: #f2916a; --shade: 240 120 70; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.55 Charter, "Bitstream Charter", "Sitka Text",
  Cambria, Georgia, serif; overflow-wrap: break-word; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: clamp(1.6rem, 5vw, 2.3rem); line-height: 1.15; margin: 0 0 .4rem; font-weight: 600; }
h2 { font-size: 1.2rem; margin: 0 0 .8rem; font-weight: 600; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; font-weight: 600; }
p { margin: 0 0 .8rem; max-width: 44rem; }
.soft, figcaption, small { color: var(--soft); }
small, figcaption, .cards dt, .cards .interval, .note { font: .8rem/1.45 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
.lead { font-size: 1.12rem; }
section { margin-top: 2.6rem; border-top: 1px solid var(--line); padding-top: 1.5rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin: 1.6rem 0 0; }
.cards div { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .8rem .9rem; }
.cards dt { color: var(--soft); }
.cards dd { margin: 0; font-size: 1.75rem; line-height: 1.25; font-variant-numeric: lining-nums tabular-nums; }
.cards .interval { display: block; color: var(--soft); }
.caution { border-left: 3px solid var(--rust); padding: .1rem 0 .1rem .9rem; margin: 1.4rem 0 0; }
.caution p { margin: .3rem 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1rem; align-items: start; }
figure { margin: 0; break-inside: avoid; }
img { max-width: 100%; height: auto; display: block; }
img.plot { background: #fff; border-radius: .5rem; padding: .5rem; width: 100%; border: 1px solid var(--line); }
img.pixels { image-rendering: pixelated; width: 100%; max-width: 34rem; border-radius: .25rem; }
.cells { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.6rem, 1fr)); gap: 1rem; }
.cells img { width: 100%; aspect-ratio: 1; object-fit: contain; background: #000; border-radius: .35rem; }
figcaption { margin-top: .4rem; }
.cells b { color: var(--ink); font-weight: 600; }
table { border-collapse: collapse; width: 100%; font: .88rem/1.4 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif;
  font-variant-numeric: lining-nums tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .38rem .6rem .38rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 500; }
thead th { color: var(--soft); font-weight: 400; vertical-align: bottom; }
td .interval { display: block; color: var(--soft); font-size: .78rem; white-space: nowrap; }
table.numbers td, table.numbers thead th:not(:first-child) { text-align: right; }
table.numbers td:last-child, table.numbers th:last-child { padding-right: 0; }
table.confusion { border-collapse: separate; border-spacing: 4px; }
table.confusion th { border: 0; vertical-align: middle; white-space: nowrap; max-width: 11rem; overflow: hidden; text-overflow: ellipsis; }
table.confusion td, table.confusion thead th { text-align: center; padding: .7rem .4rem; min-width: 4.2rem; }
table.confusion td { background: rgb(var(--shade) / calc(var(--share) * .5)); border: 1px solid var(--line); border-radius: .4rem;
  font-size: 1.15rem; vertical-align: middle; }
table.confusion td small { display: block; color: var(--ink); }
table.facts td { overflow-wrap: anywhere; } table.facts th { width: 36%; }
table.many td { min-width: 3.4rem; padding: .35rem .2rem; font-size: .95rem; }
table.many thead th { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; padding: .4rem; max-height: 11rem; }
.whole { white-space: nowrap; }
.wide { overflow-x: auto; } .wide .numbers td { white-space: nowrap; min-width: 7rem; }
table.numbers thead th, table.runs thead th { white-space: nowrap; }
.wide tbody th, .wide th:first-child { position: sticky; left: 0; background: var(--paper); }
.wide tbody th { min-width: 7.5rem; } table.runs td { min-width: 7rem; white-space: nowrap; }
.stack > * { margin-bottom: 1.2rem; } .stack img.plot { max-width: 46rem; }
details { margin-top: .9rem; } summary { cursor: pointer; color: var(--soft);
  font: .88rem/1.5 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
.path { overflow-wrap: anywhere; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .8rem .9rem; margin: 0 0 .8rem;
  white-space: pre; overflow-x: auto; font: .85rem/1.5 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.note { color: var(--soft); margin: .5rem 0 0; max-width: none; }
@media (max-width: 30rem) { main { padding: 1.5rem 1rem 3rem; } table { font-size: .8rem; } th, td { padding-right: .4rem; }
  .cells { grid-template-columns: repeat(2, 1fr); } td .interval { font-size: .68rem; letter-spacing: -.01em; } }
@media print { :root { --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --rust: #b23c0a; --shade: 193 68 14; }
  body { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  main { max-width: none; padding: 0; } body { font-size: 10.5pt; } section, tr { break-inside: avoid; } h2 { break-after: avoid; } }
"""
