"""The pieces of the page: text that is safe to show, pictures inside the page, tables, and the style of it all."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Sequence
from typing import Any

from scratchnet.drawing import heat
from scratchnet.terminal.command_line import printable


def safe(text: object) -> str:
    """The text for a page: markup has no effect in it, and control characters are escaped.

    >>> safe('<b>"A & B"')
    '&lt;b&gt;&quot;A &amp; B&quot;'
    """
    return html.escape(printable(str(text)))


def prose(text: object) -> str:
    """`safe`, without a line break between a number and its per cent.

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
    return f'<img class="{kind}" alt="{safe(alt)}" src="{data_uri(content, form)}">'


def data_uri(content: bytes, form: str) -> str:
    """A picture, "svg" or "png", as an address that holds it."""
    mime = {"svg": "image/svg+xml", "png": "image/png"}[form]
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def data_script(name: str, data: Any) -> str:
    """Data for the page's program, which finds them by this id; no text among them can end the element."""
    held = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{held}</script>'


def figure(image: str, caption: str = "", kind: str = "") -> str:
    """A picture with a caption below it, which is HTML."""
    below = f"<figcaption>{caption}</figcaption>" if caption else ""
    return f'<figure class="{kind}">{image}{below}</figure>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table whose cells are HTML; the first of each row names it. Without a head where `head` is empty."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>' for row in rows
    )
    return f'<table class="{kind}">{f"<thead><tr>{top}</tr></thead>" if head else ""}<tbody>{body}</tbody></table>'


def stacked(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A `table` whose rows become blocks on a narrow screen, each cell with the head of its column: nothing is cut off.

    The roles say that it is still a table, which some browsers forget when it is laid out differently.
    """
    top = "".join(f'<th scope="col" role="columnheader">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr role="row"><th scope="row" role="rowheader">{row[0]}</th>'
        + "".join(
            f'<td role="cell" class="{"" if cell else "empty"}" data-head="{title}">{cell}</td>'
            for title, cell in zip(head[1:], row[1:], strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<table class="stacked {kind}" role="table"><thead role="rowgroup"><tr role="row">{top}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table>'
    )


def wide(content: str, what: str = "table", columns: int = 0) -> str:
    """A table that may be wider than the screen: it scrolls sideways, the first column stays, and a shadow at its edge shows
    that columns are hidden. what: for screen readers. columns: if there are many, words too say that there is more."""
    cue = '<p class="cue" aria-hidden="true">There is more to the right: scroll the table →</p>' if columns > 3 else ""
    return f'{cue}<div class="wide" role="region" aria-label="{safe(what)}" tabindex="0">{content}</div>'


def heat_key() -> str:
    """The scale of all heat maps, a row of colours with what they mean."""
    items = "".join(
        f'<li style="background:rgb({",".join(map(str, colour))})"{" class=deep" if any(heat.ink(colour)) else ""}>{safe(text)}</li>'
        for text, colour in heat.key()
    )
    return f'<ul class="key">{items}</ul>'


def command(text: str) -> str:
    """A whole command line: if it is wider than the page, it is broken between words."""
    words = " ".join(f"<span>{word}</span>" for word in safe(text).split(" "))
    return f'<pre class="command">{words}</pre>'


def details(title: str, content: str) -> str:
    """A part that is folded until the reader opens it."""
    return f"<details><summary>{safe(title)}</summary>{content}</details>"


def section(title: str, *parts: str) -> str:
    """A part of the page with its heading."""
    return f"<section><h2>{safe(title)}</h2>{''.join(parts)}</section>"


def document(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """A whole page. Its policy forbids it to load anything, and to run anything but `script`, whatever a name may contain.

    style: CSS that follows the house's. script: JavaScript, run when the page is there; the policy knows it by its SHA-256.
    """
    policy, program = "default-src 'none'; img-src data:; style-src 'unsafe-inline'", ""
    if script:
        code = f"\n{script.strip()}\n"
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        policy, program = f"{policy}; script-src 'sha256-{digest}'", f"<script>{code}</script>"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{safe(title)}</title><style>{STYLE}{style}</style></head>\n<body><main>{body}</main>{program}</body></html>\n"
    )


STYLE = """
:root { --paper: #fbfaf8; --card: #fff; --ink: #23272c; --soft: #5b6570; --line: #e0dbd3; --rust: #b23c0a; --blue: #14548f;
  --right: 29 111 184; --wrong: 193 68 14; --shadow: rgb(0 0 0 / .28);
  --sans: system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif;
  --mono: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
@media screen and (prefers-color-scheme: dark) {
  :root { --paper: #17191c; --card: #1f2226; --ink: #e7e4de; --soft: #a9b2ba; --line: #363b41; --rust: #f2916a; --blue: #8cc4f5;
    --right: 116 180 238; --wrong: 242 145 106; --shadow: rgb(0 0 0 / .8); }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.55 Charter, "Bitstream Charter", "Sitka Text",
  Cambria, Georgia, serif; overflow-wrap: break-word; }
main { max-width: 64rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: clamp(1.6rem, 5vw, 2.3rem); line-height: 1.15; margin: 0 0 .4rem; font-weight: 600; }
h2 { font-size: 1.25rem; margin: 0 0 .8rem; font-weight: 600; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; font-weight: 600; }
p { margin: 0 0 .8rem; max-width: 44rem; }
.soft, figcaption, small { color: var(--soft); }
small, figcaption, .cards dt, .cards .interval, .note, .cue { font: .82rem/1.45 var(--sans); }
.lead { font-size: 1.15rem; }
section { margin-top: 2.6rem; border-top: 1px solid var(--line); padding-top: 1.5rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin: 1.6rem 0 0; }
.cards div { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .8rem .9rem; }
.cards dt { color: var(--soft); }
.cards dd { margin: 0; font-size: 1.75rem; line-height: 1.25; font-variant-numeric: lining-nums tabular-nums; }
.cards .interval { display: block; color: var(--soft); }
.caution { border-left: 4px solid var(--rust); background: var(--card); padding: .5rem .9rem; margin: 1.4rem 0 0; }
.caution p { margin: .3rem 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1rem; align-items: start; }
.three { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); gap: 1rem; }
figure { margin: 0; break-inside: avoid; }
img { max-width: 100%; height: auto; display: block; }
img.plot { background: var(--card); border-radius: .5rem; padding: .4rem; width: 100%; border: 1px solid var(--line); }
img.pixels { image-rendering: pixelated; width: 100%; max-width: 40rem; }
.filters figure { margin-bottom: 1rem; }
.cells { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 18rem), 1fr)); gap: 1.4rem 1.25rem; }
.cells .two { display: grid; grid-template-columns: 1fr 1fr; gap: .3rem; }
.cells img { width: 100%; aspect-ratio: 1; object-fit: contain; background: #000; border-radius: .3rem; image-rendering: pixelated; }
figcaption { margin-top: .4rem; }
.cells b, .filters b { color: var(--ink); font-weight: 600; }
.key { list-style: none; display: grid; grid-template-columns: repeat(auto-fit, minmax(5.2rem, 1fr)); gap: 2px; margin: .4rem 0 1.2rem;
  padding: 0; font: .78rem/1.35 var(--sans); }
.key li { padding: .25rem .4rem; text-align: center; color: #000; } .key li.deep { color: #fff; }
table { border-collapse: collapse; width: 100%; font: .88rem/1.4 var(--sans); font-variant-numeric: lining-nums tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .38rem .6rem .38rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 500; }
thead th { color: var(--soft); font-weight: 400; vertical-align: bottom; }
td .interval { display: block; color: var(--soft); font-size: .78rem; white-space: nowrap; }
table.numbers td, table.numbers thead th:not(:first-child) { text-align: right; }
table.numbers td:last-child, table.numbers th:last-child { padding-right: 0; }
table.numbers.classes td:last-child, table.numbers.classes th:last-child { text-align: left; padding-left: 1.5rem; }
table.confusion { border-collapse: separate; border-spacing: 4px; }
table.confusion th { border: 0; vertical-align: middle; max-width: 9rem; overflow: hidden; text-overflow: ellipsis; }
table.confusion td, table.confusion thead th { text-align: center; padding: .7rem .4rem; min-width: 5rem; }
table.confusion td { border: 1px solid var(--line); border-radius: .4rem; font-size: 1.15rem; vertical-align: middle; }
table.confusion td.right { background: rgb(var(--right) / calc(var(--share) * .42)); border-color: rgb(var(--right)); }
table.confusion td.wrong { background: rgb(var(--wrong) / calc(var(--share) * .42)); border: 1px dashed rgb(var(--wrong)); }
table.confusion td small { display: block; color: var(--ink); }
table.facts td { overflow-wrap: anywhere; } table.facts th { width: 36%; }
table.facts code { color: var(--soft); } code { font: .85em/1.4 var(--mono); }
table.many th { white-space: nowrap; max-width: 11rem; }
table.many td { min-width: 3.4rem; padding: .35rem .2rem; font-size: .95rem; }
table.many thead th { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; padding: .4rem;
  max-height: 11rem; min-width: 0; }
.stacked th, .stacked td { overflow-wrap: anywhere; min-width: 5.2rem; } .stacked tbody th { min-width: 7rem; }
.whole { white-space: nowrap; }
.wide { overflow-x: auto; background:
  linear-gradient(to left, var(--paper) 40%, transparent) 100% 0 / 2.5rem 100% no-repeat local,
  linear-gradient(to left, var(--shadow), transparent) 100% 0 / .9rem 100% no-repeat scroll; }
.wide .numbers td { white-space: nowrap; min-width: 5rem; }
.cue { display: none; color: var(--rust); margin: 0 0 .3rem; }
table.runs thead th { white-space: nowrap; }
.wide tbody th, .wide th:first-child { position: sticky; left: 0; background: var(--paper); }
.wide tbody th { min-width: 7rem; } table.runs td { min-width: 7rem; white-space: nowrap; }
.stack > * { margin-bottom: 1.2rem; } .stack img.plot { max-width: 46rem; }
details { margin-top: .9rem; } summary { cursor: pointer; color: var(--blue); text-decoration: underline; text-underline-offset: .15em;
  font: .88rem/1.5 var(--sans); padding: .3rem 0; }
:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; }
.path { overflow-wrap: anywhere; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .8rem .9rem; margin: 0 0 .8rem;
  white-space: pre-wrap; overflow-wrap: anywhere; font: .85rem/1.5 var(--mono); }
.command span { display: inline-block; max-width: 100%; }
.note { color: var(--soft); margin: .5rem 0 0; max-width: 52rem; }
.glossary dt { font-weight: 600; font-family: var(--sans); font-size: .88rem; margin-top: .5rem; }
.glossary dd { margin: 0; max-width: 44rem; font: .88rem/1.5 var(--sans); }
@media screen and (max-width: 48rem) {
  main { padding: 1.5rem 1rem 3rem; } .cue { display: block; } th, td { padding-right: .4rem; }
  table.stacked, .stacked tbody, .stacked tr, .stacked tbody th { display: block; text-align: left; }
  .stacked thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .stacked tr { display: grid; grid-template-columns: 1fr 1fr; gap: .25rem 1rem; padding: .7rem 0; border-bottom: 1px solid var(--line); }
  .stacked tbody th { grid-column: 1 / -1; font-weight: 600; border: 0; padding: 0; }
  .stacked td, table.stacked.numbers td { display: block; border: 0; padding: 0; text-align: left; } .stacked td.empty { display: none; }
  .stacked td::before { content: attr(data-head); display: block; color: var(--soft); font-size: .78rem; }
  table.numbers.classes td:last-child { grid-column: 1 / -1; padding: 0; }
  table.runs { font-size: .82rem; } .key { grid-template-columns: repeat(3, 1fr); } }
@media print { :root { color-scheme: light; --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; }
  body { print-color-adjust: exact; -webkit-print-color-adjust: exact; font-size: 10.5pt; }
  main { max-width: none; padding: 0; } section { padding-top: 1rem; margin-top: 1.4rem; } tr, .cards { break-inside: avoid; }
  h2, h3 { break-after: avoid; } .wide { overflow: visible; background: none; } .cue { display: none; } details { display: none; }
  .three { grid-template-columns: repeat(3, 1fr); } .cells { grid-template-columns: repeat(3, 1fr); }
  .key { grid-template-columns: repeat(9, 1fr); }
  .pair { grid-template-columns: 1fr 1fr; } }
"""
