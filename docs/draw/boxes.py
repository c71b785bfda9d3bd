"""Boxes and arrows as SVG, from a description in a few lines of text.

A line is either a row of boxes or an arrow. A row begins with its height and its colour, and its
columns are divided by bars; boxes that follow each other are joined by arrows:

    0 query: [view 1] | f | (z)
    1 key:   [view 2] | f' | (z')
    0.5 loss: | | | <InfoNCE>
    z -> InfoNCE
    z' -| InfoNCE
    f ~> f'

[data], network, (embedding), {many of them}, <loss>; "/" breaks a label, "=name" behind a box names
it where its label does not; "->" is an arrow, "-|" one that no gradient passes, "~>" a moving
average. "note:" is a line below the picture. The same text gives the same bytes everywhere.
"""

import dataclasses
import html
import re

COLOURS = {  # fill, line
  "data": ("#ffffff", "#6b7280"),
  "query": ("#dbe9f9", "#2563a8"),
  "key": ("#fde7cf", "#b85c00"),
  "loss": ("#dff3e0", "#2e7d32"),
}
INK, STOP = "#1f2937", "#b91c1c"
APOSTROPHE, PRIME = "'", "′"
_SHAPES = {"[": "data", "(": "embedding", "{": "many", "<": "loss"}
_CHAR, _LINE, _GAP, _ROW, _MARGIN = 7.6, 16, 30, 68, 16  # px; a letter of 13 px is no wider


@dataclasses.dataclass
class Box:
  """A labelled box: its place in the grid, then in pixels, from its centre."""

  label: str
  shape: str
  colour: str
  column: int
  row: float
  x: float = 0.0
  y: float = 0.0

  @property
  def lines(self) -> list[str]:
    return self.label.split("/")

  @property
  def half(self) -> tuple[float, float]:
    """Half of its width and height."""
    text = _CHAR * max(map(len, self.lines))
    least = {"embedding": 36, "network": 44}.get(self.shape, 56)
    height = 36 if len(self.lines) < 2 else 14 + _LINE * len(self.lines)
    return max(least, text + 16) / 2, height / 2


def draw(title: str, text: str) -> str:
  """Returns the picture that `text` describes, as SVG."""
  boxes, arrows, notes = parse(text)
  place(boxes.values())
  marks = {mark for _, mark, _ in arrows}
  notes += ["dashed: a moving average"] if "~>" in marks else []
  notes += ["bars: no gradient passes"] if "-|" in marks else []
  width = max(box.x + box.half[0] for box in boxes.values()) + 2 * _MARGIN
  below = max(box.y + box.half[1] for box in boxes.values())
  caption = "; ".join(notes)
  width = max(width, 6.6 * len(caption) + 2 * _MARGIN)
  height = below + (2.4 if caption else 1) * _MARGIN
  parts = [
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
    f'width="{width:.0f}" height="{height:.0f}" role="img" '
    'font-family="Helvetica, Arial, sans-serif" font-size="13" text-anchor="middle">',
    f"<title>{html.escape(title)}</title>",
    f'<rect width="{width:.0f}" height="{height:.0f}" rx="8" fill="#ffffff"/>',
  ]
  for start, mark, end in arrows:
    parts += _arrow(boxes[start], mark, boxes[end])
  for box in boxes.values():
    parts += _box(box)
  if caption:
    parts.append(
      f'<text x="{width / 2:.0f}" y="{height - 9:.0f}" font-size="11" fill="#4b5563">'
      f"{html.escape(caption)}</text>"
    )
  return "\n".join([*parts, "</svg>"]) + "\n"


def parse(text: str) -> tuple[dict[str, Box], list[tuple[str, str, str]], list[str]]:
  """Returns the boxes by name, the arrows (from, mark, to) and the notes of a description."""
  boxes, arrows, notes = {}, [], []
  for line in filter(None, map(str.strip, text.splitlines())):
    row = re.fullmatch(r"([\d.]+) (\w+):(.*)", line)
    if line.startswith("note:"):
      notes.append(line.removeprefix("note:").strip())
    elif row is None:
      arrows.append(tuple(re.fullmatch(r"(.+?) (->|-\||~>) (.+)", line).groups()))
    else:
      before = None
      for column, token in enumerate(row[3].split("|")):
        name, box = _token(token.strip(), row[2], column, float(row[1]))
        if box is not None:
          if name in boxes:
            raise ValueError(f'two boxes are called "{name}"')
          boxes[name] = box
          arrows += [(before, "->", name)] if before else []
          before = name
  return boxes, arrows, notes


def _token(token, colour, column, row):
  if not token:
    return None, None
  inside, _, name = token.partition("=")
  shape = _SHAPES.get(inside[0], "network")
  label = inside if shape == "network" else inside[1:-1]
  colour = shape if shape in ("data", "loss") else colour
  return name or label, Box(label, shape, colour, column, row)


def place(boxes):
  """Makes every column as wide as its widest box."""
  left = _MARGIN
  for column in range(max(box.column for box in boxes) + 1):
    here = [box for box in boxes if box.column == column]
    half = max((box.half[0] for box in here), default=0)
    for box in here:
      box.x, box.y = left + half, _MARGIN + 26 + _ROW * box.row
    left += 2 * half + _GAP * bool(here)


def _box(box):
  fill, line = COLOURS[box.colour]
  (w, h), style = box.half, f'fill="{fill}" stroke="{line}" stroke-width="1.5"'
  radius = {"embedding": h, "loss": 8, "network": 3}.get(box.shape, 0)
  shifts = (8, 4, 0) if box.shape == "many" else (0,)
  parts = [
    f'<rect x="{box.x - w + s:.1f}" y="{box.y - h - s:.1f}" width="{2 * w:.1f}" '
    f'height="{2 * h:.1f}" rx="{radius:.0f}" {style}/>'
    for s in shifts
  ]
  first = box.y + 4.5 - _LINE * (len(box.lines) - 1) / 2
  for number, text in enumerate(box.lines):
    parts.append(
      f'<text x="{box.x:.1f}" y="{first + _LINE * number:.1f}" fill="{INK}">'
      f"{html.escape(text.replace(APOSTROPHE, PRIME))}</text>"
    )
  return parts


def _arrow(a, mark, b):
  """Draws from the edge of a to the edge of b: straight, or with right angles."""
  (aw, ah), (bw, bh) = a.half, b.half
  if a.row == b.row:
    side = 1 if b.x > a.x else -1
    extra = 8 if a.shape == "many" and side > 0 else 0
    near = 8 if b.shape == "many" and side < 0 else 0
    points = [(a.x + side * aw + extra, a.y), (b.x - side * bw + near, b.y)]
  else:
    down = 1 if b.y > a.y else -1
    landing = b.y - down * bh - (8 if b.shape == "many" and down > 0 else 0)
    if a.column == b.column:
      points = [(a.x, a.y + down * ah), (b.x, landing)]
    elif mark == "~>":
      points = [(a.x, a.y + down * ah), (a.x, b.y), (b.x - bw, b.y)]
    elif a.shape == "data" and b.shape != "loss":
      middle = a.x + aw + _GAP / 2
      points = [(a.x + aw, a.y), (middle, a.y), (middle, b.y), (b.x - bw, b.y)]
    else:
      points = [(a.x + aw, a.y), (b.x, a.y), (b.x, landing)]
  dash = ' stroke-dasharray="5 4"' if mark == "~>" else ""
  colour = COLOURS["key"][1] if mark == "~>" else INK
  (x0, y0), (x, y) = points[-2:]
  length = abs(x - x0) + abs(y - y0)
  ux, uy = (x - x0) / length, (y - y0) / length
  path = " ".join(f"{px:.1f},{py:.1f}" for px, py in [*points[:-1], (x - 6 * ux, y - 6 * uy)])
  wing = [(x, y), (x - 8 * ux + 4 * uy, y - 8 * uy + 4 * ux)]
  wing.append((x - 8 * ux - 4 * uy, y - 8 * uy - 4 * ux))
  tip = " ".join(f"{px:.1f},{py:.1f}" for px, py in wing)
  parts = [
    f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.4"{dash}/>',
    f'<polygon points="{tip}" fill="{colour}"/>',
  ]
  if mark == "-|":
    parts += _bars(*points[0], *points[1])
  return parts


def _bars(x0, y0, x1, y1):
  """Draws two bars across the middle of the first stretch of an arrow."""
  length = abs(x1 - x0) + abs(y1 - y0)
  ux, uy = (x1 - x0) / length, (y1 - y0) / length
  parts = []
  for along in (-2.5, 2.5):
    at = min(length / 2, 14) + along
    x, y = x0 + at * ux, y0 + at * uy
    parts.append(
      f'<line x1="{x - 7 * uy:.1f}" y1="{y - 7 * ux:.1f}" x2="{x + 7 * uy:.1f}" '
      f'y2="{y + 7 * ux:.1f}" stroke="{STOP}" stroke-width="2"/>'
    )
  return parts
