"""The largest values of options: above them a run would hang or use up memory with no word of why.

Sizes that a batch is made of are limited; so are counts of what is written out one by one in the
compiled program. What a network's widths add up to is compared with the memory of the host, where
that is known.
"""

import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from contrastive_jax import errors

_SIDE_PX = 4096  # a float32 view of that side takes 192 MiB
_UNROLLED = 256
_THREADS = 1024
_LEAST_OF_VOTES = 1e-5  # temperature of the neighbours' weights
_WHOLE_NUMBER = 2**63 - 1  # of int64
_AT_MOST = {
  "batch_size": 2**24,
  "image_size_px": _SIDE_PX,
  "data.host_size_px": _SIDE_PX,
  "data.shapes.size_px": _SIDE_PX,
  "data.shapes.num_train": 2**24,
  "data.shapes.num_test": 2**24,
  "augment.local_size_px": _SIDE_PX,
  "augment.num_views": _UNROLLED,
  "augment.local_views": _UNROLLED,
  "method.local_views": _UNROLLED,
  "method.head_layers": _UNROLLED,
  "method.crops": _UNROLLED,
  "method.shuffles": _UNROLLED,
  "method.grid": _UNROLLED,
  "method.sinkhorn_iterations": _UNROLLED,
  "data.num_threads": _THREADS,
  "data.num_workers": _THREADS,
}
_GIB = 2**30


def check(values: Mapping[str, Any]) -> None:
  """Raises `UserError` for a value above its limit. `values` by dotted key."""
  for key, value in values.items():
    if isinstance(value, float) and math.isinf(value):
      raise errors.UserError(f"{key} {value} is not finite; set --config.{key} to a number")
    if isinstance(value, int):
      most = _AT_MOST.get(key, _WHOLE_NUMBER)
      if abs(value) > most:
        raise errors.UserError(f"{key} {value} is above {most}; set --config.{key}={most} or less")


def check_votes(key: str, temperature: float) -> None:
  """Raises `UserError` for a temperature at which float32 has no weights of neighbours."""
  if not _LEAST_OF_VOTES <= temperature <= 1 / _LEAST_OF_VOTES:
    raise errors.UserError(
      f"{key} {temperature} is outside {_LEAST_OF_VOTES:g} to {1 / _LEAST_OF_VOTES:g}; set e.g. "
      f"--config.{key}=0.07"
    )


def host_bytes() -> int:
  """Returns the memory of this host, or of the part of it that this process may use."""
  total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
  try:
    allowed = pathlib.Path("/sys/fs/cgroup/memory.max").read_text().strip()
  except OSError:
    return total
  return min(total, int(allowed)) if allowed.isdecimal() else total


def check_host(parts: Mapping[str, int], remedy: str) -> None:
  """Raises `UserError` if what a run is certain to hold in memory at once is more than there is.

  Args:
    parts: bytes by what they are.
    remedy: what makes them fewer.
  """
  needed, there = sum(parts.values()), host_bytes()
  if needed > there:
    said = ", ".join(f"{what} {_gib(count)}" for what, count in parts.items())
    raise errors.UserError(
      f"this run needs at least {_gib(needed)} of this host's memory ({said}), which has "
      f"{_gib(there)}; {remedy}"
    )


def _gib(count: int) -> str:
  return f"{count / _GIB:,.1f} GiB"
