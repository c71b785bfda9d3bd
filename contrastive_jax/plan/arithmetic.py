"""Products in the loops of a compiled program: XLA's own count takes every loop for one round."""

import re

import numpy as np

from contrastive_jax.plan import hlo

_PRODUCT = re.compile(r"%?[\w.\-]+ = (\S+) (dot|convolution)\(([^)]*)\)")
_RESULT = re.compile(r"%?([\w.\-]+) = [a-z]\w*\[([\d,]*)\]")
_CONTRACTED = re.compile(r"lhs_contracting_dims=\{([\d,]*)\}")
_LABELS = re.compile(r"dim_labels=(\w+)_(\w+)->(\w+)")
_WINDOW = re.compile(r"window=\{([^}]*)\}")


def missed(text: str) -> float:
  """Returns the operations of products in rounds after the first, `text` being
  `compiled.as_text()`.

  What is not a matrix product or a convolution is left out, and so is one whose operands are not
  described in the computation that has it.
  """
  computations, times = hlo.executions(text)
  found = 0.0
  for name, lines in computations.items():
    if times[name] < 2:
      continue
    results = filter(None, map(_RESULT.match, lines))
    shapes = {match.group(1): _numbers(match.group(2)) for match in results}
    found += (times[name] - 1) * sum(_operations(line, shapes) for line in lines)
  return found


def _operations(line: str, shapes: dict[str, list[int]]) -> float:
  """Returns what one instruction takes, a multiplication and an addition being two; 0: no product.

  As XLA counts: a convolution has no products with its padding or between dilated rows.
  """
  match = _PRODUCT.match(line)
  if not match:
    return 0.0
  result, kind, operands = match.groups()
  out = _numbers(re.search(r"\[([\d,]*)\]", result).group(1))
  names = re.findall(r"%([\w.\-]+)", operands)[:2]
  if len(names) < 2 or not shapes.keys() >= set(names):
    return 0.0
  lhs, rhs = (shapes[name] for name in names)
  if kind == "dot":
    contracted = _CONTRACTED.search(line)
    axes = _numbers(contracted.group(1)) if contracted else []
    return 2.0 * np.prod(out) * np.prod([lhs[i] for i in axes])
  of_lhs, of_rhs, of_out = _LABELS.search(line).groups()
  window = _WINDOW.search(line)
  fields = dict(f.split("=") for f in window.group(1).split()) if window else {}
  features = out[of_out.index("b")] * out[of_out.index("f")] * rhs[of_rhs.index("i")]
  places = []
  for i, axis in enumerate(sorted(filter(str.isdigit, of_out))):
    of_all = ((lhs, of_lhs), (rhs, of_rhs), (out, of_out))
    places.append(_valid(*(shape[labels.index(axis)] for shape, labels in of_all), fields, i))
  return 2.0 * features * np.prod(places)


def _valid(size: int, kernel: int, out: int, fields: dict[str, str], axis: int) -> int:
  """Returns how many pairs of an output and a kernel row along an axis meet a row of the input."""

  def of_axis(name, default):
    return fields.get(name, "x".join([default] * (axis + 1))).split("x")[axis]

  stride, before = int(of_axis("stride", "1")), int(of_axis("pad", "0_0").split("_")[0])
  dilated, apart = int(of_axis("lhs_dilate", "1")), int(of_axis("rhs_dilate", "1"))
  row = np.arange(out)[:, None] * stride + np.arange(kernel) * apart - before
  return int(np.sum((row >= 0) & (row <= (size - 1) * dilated) & (row % dilated == 0)))


def _numbers(text: str) -> list[int]:
  return [int(n) for n in text.split(",") if n]
