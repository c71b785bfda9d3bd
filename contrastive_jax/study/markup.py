"""Pieces of a page: whatever comes from a config, a run or a path is escaped here.

A page needs no network and says so to the browser, which then asks for nothing.
"""

import base64
import html
import re
from collections.abc import Iterable, Mapping, Sequence

from contrastive_jax.study import canvas, own_page, style, tables

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_TALL = 26  # rows from which a table scrolls by itself
_LONG = 34  # letters of a cell from which its lines are broken
_SCALE = 1.42  # pixels of the page for a point of a picture


class Html(str):
  """Text that is markup already."""


def escape(text: object) -> Html:
  """Returns text as it is shown; markup as it is."""
  return text if isinstance(text, Html) else Html(html.escape(str(text)))


def page(title: str, lead: str, sections: Sequence[tuple[str, str]]) -> str:
  """Returns a whole page.

  Args:
    title: of the page.
    lead: markup under the title.
    sections: heading and markup of each.
  """
  links = "".join(
    f'<a href="#part-{i}">{escape(name)}</a>' for i, (name, _) in enumerate(sections, 1)
  )
  parts = "\n".join(
    f'<section id="part-{i}">\n<h2>{escape(name)}</h2>\n{body}\n</section>'
    for i, (name, body) in enumerate(sections, 1)
  )
  return (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    f"{own_page.MARK}\n"
    f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    f"<title>{escape(title)}</title>\n<style>{style.CSS}</style>\n</head>\n<body>\n"
    f"<h1>{escape(title)}</h1>\n{lead}\n<nav>{links}</nav>\n{parts}\n"
    f"<script>{style.SORT}</script>\n</body>\n</html>\n"
  )


def table(table: tables.Table, heading: bool = True) -> Html:
  """Returns a table that scrolls where it is too wide, with its notes."""
  numeric = [tables.is_numeric(table, i) for i in range(len(table.head))]
  head = "".join(
    f'<th scope="col"{" class=number" if right else ""}>{escape(name)}</th>'
    for name, right in zip(table.head, numeric, strict=True)
  )
  rows = "\n".join(f"<tr>{''.join(map(_cell, row, numeric))}</tr>" for row in table.rows)
  title = f"<h3>{escape(table.title)}</h3>\n" if heading and table.title else ""
  tall = " tall" if len(table.rows) > _TALL else ""
  return Html(
    f'{title}<div class="scroll{tall}" tabindex="0">\n<table>\n<thead><tr>{head}</tr></thead>\n'
    f"<tbody>\n{rows}\n</tbody>\n</table>\n</div>\n{notes(table.notes)}"
  )


def _cell(value: str, right: bool) -> str:
  long = not isinstance(value, Html) and len(value) > _LONG
  kind = ' class="number"' if right else ' class="long"' if long else ""
  return f"<td{kind}>{escape(value)}</td>"


def notes(lines: Iterable[str]) -> Html:
  """Returns small lines."""
  return Html("\n".join(f'<p class="note">{escape(line)}</p>' for line in lines))


def picture(svg: str, alt: str, name: str) -> Html:
  """Returns a picture with a text in its place for who does not see it.

  Args:
    svg: as `canvas.svg` gives it.
    alt: the text.
    name: of the picture, unlike any other's of the page.
  """
  inner = canvas.inline(svg, re.sub(r"\W", "_", name))
  width = _SCALE * float(re.search(r'viewBox="[\d.]+ [\d.]+ ([\d.]+)', inner)[1])
  size = f"width:{width:.0f}px;max-width:100%;min-width:{0.62 * width:.0f}px"
  said = f'<svg role="img" aria-label="{escape(alt)}" style="{size}"'
  return Html(f'<figure class="scroll">{inner.replace("<svg", said, 1)}</figure>')


def image(png: bytes, alt: str, caption: Sequence[str] = (), width_px: int | None = None) -> Html:
  """Returns a PNG with lines under it.

  Args:
    png: the file's content.
    alt: text for who does not see it.
    caption: the lines.
    width_px: on the page, where there is room; None: its own.
  """
  data = base64.b64encode(png).decode()
  style = f"width:{width_px}px;" if width_px else ""
  lines = "<br>".join(map(escape, caption))
  said = f"<figcaption>{lines}</figcaption>" if caption else ""
  size = f"max-width:{width_px}px" if width_px else "max-width:100%"
  return Html(
    f'<figure style="{size}"><img src="data:image/png;base64,{data}" alt="{escape(alt)}" '
    f'style="{style}max-width:100%;height:auto">{said}</figure>'
  )


def spark(points: Sequence[tuple[float, float]], low: float, high: float, alt: str) -> Html:
  """Returns a small curve between two values of the vertical axis."""
  if len(points) < 2:
    return Html("-")
  first, last = points[0][0], points[-1][0]
  span, height = max(last - first, 1e-12), max(high - low, 1e-12)
  drawn = " ".join(
    f"{96 * (x - first) / span:.1f},{24 - 22 * (min(max(y, low), high) - low) / height:.1f}"
    for x, y in points
  )
  return Html(
    f'<svg class="spark" role="img" aria-label="{escape(alt)}" viewBox="0 0 96 26">'
    f'<polyline points="{drawn}" fill="none" stroke="currentColor" stroke-width="1.4"/></svg>'
  )


def facts(values: Mapping[str, object]) -> Html:
  """Returns a few figures, large, each under its name."""
  parts = (
    f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in values.items()
  )
  return Html(f'<dl class="facts">{"".join(parts)}</dl>')


def details(summary: str, body: str) -> Html:
  """Returns what is shown when asked for."""
  return Html(f"<details><summary>{escape(summary)}</summary>\n{body}\n</details>")


def commands(lines: Sequence[str]) -> Html:
  """Returns lines of a shell."""
  return Html(f"<pre><code>{escape(chr(10).join(lines))}</code></pre>")
