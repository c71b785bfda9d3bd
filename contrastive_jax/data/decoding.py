"""How images are decoded: the one list of the options that the pipeline takes and a config has."""

import dataclasses

from contrastive_jax import errors
from contrastive_jax.options import option

_MOST_CHANNELS = 64
PIXELS = ("channels", "bits", "value_range")  # the fields of `pixels.Form`


@dataclasses.dataclass(frozen=True)
class Decoding:
  """Size of the arrays, what is kept of them, and who makes them."""

  host_size_px: int | None = option(
    None, "side of the canvas sent to devices; unset: the images' own size"
  )
  channels: int = option(3, "of a pixel: 3, 1 (grey), or as many as the files have")
  bits: int = option(8, "of each value on the canvas: 8, or 16 for scans and floats")
  value_range: tuple[float, ...] = option(
    (), "(least, largest) of values that have not 8 bits (unset: taken from the training images)"
  )
  cache: str = option(
    "auto", "keep decoded images in memory: auto (under 2 GiB), memory or none", identity=False
  )
  num_threads: int = option(4, "threads that assemble batches", identity=False)
  num_workers: int = option(
    0, "processes that decode images (0: none, the threads do it)", identity=False
  )

  def __post_init__(self):
    if self.host_size_px is not None and self.host_size_px < 1:
      raise errors.UserError(
        f"data.host_size_px {self.host_size_px} is below 1; use the side of a canvas in pixels"
      )
    if not 1 <= self.channels <= _MOST_CHANNELS:
      raise errors.UserError(
        f"data.channels {self.channels} is outside 1 to {_MOST_CHANNELS}; use 3, 1 for grey, or as "
        "many as the files have"
      )
    if self.bits not in (8, 16):
      raise errors.UserError(f"data.bits {self.bits} is neither 8 nor 16; use one of these")
    if self.value_range and not (
      len(self.value_range) == 2 and self.value_range[0] < self.value_range[1]
    ):
      raise errors.UserError(
        f"data.value_range {self.value_range} is not (least, largest); use e.g. (0,4095)"
      )
    if self.cache not in ("auto", "memory", "none"):
      raise errors.UserError(f'data.cache "{self.cache}" is unknown; use auto, memory or none')
    if self.num_threads < 1:
      raise errors.UserError(f"data.num_threads {self.num_threads} is below 1; use 1 or more")
    if self.num_workers < 0:
      raise errors.UserError(f"data.num_workers {self.num_workers} is negative; use 0 or more")
