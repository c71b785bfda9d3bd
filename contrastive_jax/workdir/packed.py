"""Tables of the files of a checkpoint as a manifest has them: few bytes for each piece.

A state of 1,024 processes has hundreds of thousands of pieces. Of each there is the number of its
leaf among the sorted names, and of one that is not the whole leaf where it is: [axis, first, count]
where it is cut along one axis, else [start, shape]. Pieces follow each other in a file without a
gap, so nothing says where they begin; the digests of all blocks of a file are one text.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from contrastive_jax.workdir import boxes
from contrastive_jax.workdir.boxes import Box

_DIGEST_BYTES = 16


def pack(table: Mapping[str, Any], names: Sequence[str], forms: Mapping[str, Any]) -> dict:
  """Returns a table of `part_files.write` in few bytes.

  Args:
    table: of a file.
    names: of all leaves, sorted.
    forms: {leaf: {"shape", "dtype"}}.
  """
  number = {name: i for i, name in enumerate(names)}
  pieces, found, offset = [], [], table["header"][0]
  for piece in table["pieces"]:
    form = forms[piece.leaf]
    if piece.offset != offset:
      raise ValueError(f"a piece of leaf {piece.leaf} is not where the one before it ends")
    offset += piece.box.size * np.dtype(form["dtype"]).itemsize
    pieces.append([number[piece.leaf], *_place(piece.box, form["shape"])])
    found += piece.digests
  digests = base64.b64encode(bytes.fromhex("".join(found))).decode()
  rest = {key: value for key, value in table.items() if key != "pieces"}
  return rest | {"packed": pieces, "digests": digests}


def unpack(
  table: Mapping[str, Any], names: Sequence[str], forms: Mapping[str, Any]
) -> tuple[dict, list[tuple[str, Box, int, list[str]]]]:
  """Returns what `pack` was given: the table without its pieces, and leaf, box, offset, digests."""
  text = base64.b64decode(table["digests"]).hex()
  found, offset, place = [], table["header"][0], 0
  for number, *where in table["packed"]:
    leaf = names[number]
    shape, itemsize = forms[leaf]["shape"], np.dtype(forms[leaf]["dtype"]).itemsize
    box = _box(where, shape)
    count = sum(1 for _ in boxes.blocks(box, table["block_bytes"] // itemsize))
    end = place + 2 * _DIGEST_BYTES * count
    of_block = [text[i : i + 2 * _DIGEST_BYTES] for i in range(place, end, 2 * _DIGEST_BYTES)]
    found.append((leaf, box, offset, of_block))
    offset, place = offset + box.size * itemsize, end
  rest = {key: value for key, value in table.items() if key not in ("packed", "digests")}
  return rest, found


def _place(box: Box, shape: Sequence[int]) -> list:
  whole = boxes.whole(shape)
  if box == whole:
    return []
  cut = [i for i in range(len(shape)) if (box.start[i], box.shape[i]) != (0, shape[i])]
  if len(cut) == 1:
    return [cut[0], box.start[cut[0]], box.shape[cut[0]]]
  return [list(box.start), list(box.shape)]


def _box(where: list, shape: Sequence[int]) -> Box:
  if not where:
    return boxes.whole(shape)
  if len(where) == 2:
    return Box(tuple(where[0]), tuple(where[1]))
  axis, first, count = where
  return boxes.cut(boxes.whole(shape), axis, first, first + count)
