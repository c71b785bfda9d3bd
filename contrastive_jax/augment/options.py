"""The section `augment` of a config: the parameters of `recipe`, each unset unless changed."""

import dataclasses

from contrastive_jax.augment.color import JITTER_FAMILIES
from contrastive_jax.augment.recipes import NORMALIZATIONS
from contrastive_jax.options import option


@dataclasses.dataclass(frozen=True)
class Options:
  """What changes a named recipe; None keeps the recipe's own figure."""

  num_views: int | None = option(None, "V: views of each image; unset: what the method needs")
  color_strength: float | None = option(
    None, "multiplies the jitter; 0: no colour distortion at all, grey included"
  )
  hue: float | None = option(None, "largest turn of the hue, in circles (at most 0.5)")
  blur: float | None = option(None, "probability of blur")
  min_area: float | None = option(None, "smallest crop, as a fraction of the image")
  max_area: float | None = option(None, "largest crop, as a fraction of the image")
  grey_p: float | None = option(None, "probability of grey")
  flip: float | None = option(None, "probability of a horizontal flip")
  family: str | None = option(
    None, f"definition of crop, jitter and blur: {', '.join(JITTER_FAMILIES)}"
  )
  antialias: bool | None = option(
    None, "filter crops where they shrink; unset: as the recipe's authors do"
  )
  solarize: float | None = option(None, "probability of solarisation")
  normalize: str | None = option(None, f"mean and std of pixels: {', '.join(NORMALIZATIONS)}")
  rotate: float = option(0.0, "probability of a turn by 0, 90, 180 or 270 degrees")
  sobel: float = option(0.0, "probability of Sobel edges")
  noise: float = option(0.0, "probability of Gaussian noise")
  cutout: float = option(0.0, "probability of a square cut out")
  compose: tuple[str, ...] = option(
    (),
    "operations of the first of two views alone, in order, in place of all others: crop, cutout, "
    "color, sobel, noise, blur, rotate (SimCLR, figure 5)",
  )
  local_views: int | None = option(
    None, "further small views of an image (multi-crop); unset: what the method needs"
  )
  local_size_px: int | None = option(None, "side of a local view; unset: 96/224 of a view's")
  local_min_area: float | None = option(None, "smallest crop of a local view")
  local_max_area: float | None = option(None, "largest crop of a local view")
  channels_of: tuple[str, ...] = option(
    (), "which channels an operation changes: ('color:0,1,2', 'blur:3'); unset: all"
  )
  mean: tuple[float, ...] = option((), "of the pixels of each channel; unset: as normalize says")
  std: tuple[float, ...] = option((), "of the pixels of each channel, likewise")
