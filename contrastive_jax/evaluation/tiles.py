"""Rows of images with a line or two under each, at a size that can be looked at."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_SIDE_PX, _GAP_PX, _LINE_PX, _FONT_PX = 112, 10, 15, 12
_FRAMES = {None: None, True: (0, 158, 115), False: (213, 94, 0)}


class Tile(NamedTuple):
  """An image and what is written under it."""

  image: np.ndarray  # uint8 [h, w, 3]
  caption: str
  small: str = ""  # a second line, or several
  right: bool | None = None  # framed green or orange; None: not


def png(rows: Sequence[Sequence[Tile]], title: str = "", side_px: int = _SIDE_PX) -> bytes:
  """Returns the rows as a PNG; small images are enlarged pixel by pixel, large ones shrunk."""
  font = ImageFont.load_default(_FONT_PX)
  lines = max((1 + len(t.small.splitlines()) for row in rows for t in row), default=1)
  height = side_px + lines * _LINE_PX + _GAP_PX
  columns = max((len(row) for row in rows), default=1)
  head = 24 if title else 0
  size = columns * (side_px + _GAP_PX) + _GAP_PX, head + len(rows) * height + _GAP_PX
  sheet = Image.new("RGB", size, "white")
  pen = ImageDraw.Draw(sheet)
  if title:
    pen.text((_GAP_PX, 6), _plain(title), "black", font)
  for i, row in enumerate(rows):
    for j, tile in enumerate(row):
      x, y = _GAP_PX + j * (side_px + _GAP_PX), head + _GAP_PX + i * height
      picture = _fitted(tile.image, side_px)
      place = x + (side_px - picture.width) // 2, y + (side_px - picture.height) // 2
      sheet.paste(picture, place)
      if frame := _FRAMES[tile.right]:
        pen.rectangle([x - 3, y - 3, x + side_px + 2, y + side_px + 2], outline=frame, width=3)
      texts = [tile.caption, *tile.small.splitlines()]
      for number, text in enumerate(texts):
        at = x, y + side_px + 3 + number * _LINE_PX
        pen.text(at, _cut(text, pen, font, side_px + 4), "black" if not number else "#555", font)
  file = io.BytesIO()
  sheet.save(file, "PNG")
  return file.getvalue()


def one(image: np.ndarray, side_px: int = _SIDE_PX) -> bytes:
  """Returns one image as a PNG whose longer side is so many pixels."""
  file = io.BytesIO()
  _fitted(image, side_px).save(file, "PNG")
  return file.getvalue()


def _fitted(image: np.ndarray, side_px: int) -> Image.Image:
  picture = Image.fromarray(image)
  scale = side_px / max(picture.size)
  size = [max(1, round(length * scale)) for length in picture.size]
  whole = max(picture.size) <= side_px
  return picture.resize(size, Image.Resampling.NEAREST if whole else Image.Resampling.LANCZOS)


def _cut(text: str, pen: ImageDraw.ImageDraw, font, width: int) -> str:
  text = _plain(text)
  while text and pen.textlength(text, font) > width:
    text = text[:-2] + "…" if len(text) > 2 else ""
  return text


def _plain(text: str) -> str:
  return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
