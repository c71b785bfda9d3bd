"""Recipes: which operations each view goes through, and the options that change a named recipe.

A recipe holds one pipeline per view, a tuple of (name, operation), built from a row of `table` and
a few options.
"""

import dataclasses
import difflib
from typing import Any, Protocol

from jaxtyping import Array, Float, Int, PRNGKeyArray

from contrastive_jax import errors
from contrastive_jax.augment import channels as channels_lib
from contrastive_jax.augment import color, crop, filters, geometry, overrides, table
from contrastive_jax.augment import compose as compose_lib

NAMES = tuple(table.ROWS)


class Operation(Protocol):
  """One augmentation of one image; a frozen dataclass."""

  def sample(self, key: PRNGKeyArray, extent: Int[Array, "2"]) -> dict[str, Array]: ...

  def apply(
    self, params: dict[str, Array], image: Float[Array, "H W C"]
  ) -> Float[Array, "H2 W2 C"]: ...


Pipeline = tuple[tuple[str, Operation], ...]

NORMALIZATIONS = {  # mean and standard deviation of the pixels of each channel
  "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
  "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
  "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),  # to -1..1, as many ViTs of timm
  "cifar": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),  # CIFAR-10, training images
}


@dataclasses.dataclass(frozen=True)
class Recipe:
  """What every view of an image goes through. Build one with `recipe`."""

  name: str
  size_px: int
  views: tuple[Pipeline, ...]
  probe: Pipeline  # crop and flip, for training linear probes
  interpolation: str
  antialias: bool
  mean: tuple[float, ...]  # of each channel
  std: tuple[float, ...]
  local: "Recipe | None" = None  # of the local views, if there are any

  @property
  def channels(self) -> int:
    """Channels of a view."""
    return len(self.mean)


_LOCAL_SIDE = 96 / 224  # of a view's side (SwAV, DINO)
_EXTRAS = ("rotate", "sobel", "noise", "cutout")


def recipe(
  name: str,
  size_px: int = 32,
  *,
  num_views: int = 2,
  color_strength: float | None = None,
  hue: float | None = None,
  blur: bool | float | None = None,
  min_area: float | None = None,
  max_area: float | None = None,
  grey_p: float | None = None,
  flip: bool | float | None = None,
  family: str | None = None,
  antialias: bool | None = None,
  solarize: bool | float | None = None,
  normalize: str | None = None,
  rotate: float = 0.0,
  sobel: float = 0.0,
  noise: float = 0.0,
  cutout: float = 0.0,
  compose: tuple[str, ...] = (),
  local_views: int = 0,
  local_size_px: int | None = None,
  local_min_area: float | None = None,
  local_max_area: float | None = None,
  channels_of: tuple[str, ...] = (),
  mean: tuple[float, ...] = (),
  std: tuple[float, ...] = (),
  channels: int = 3,
) -> Recipe:
  """Returns a named recipe. An option left at None keeps the recipe's own figure.

  Args:
    name: one of `NAMES`.
    size_px: side of the square views.
    num_views: views of each image; the recipe's one or two pipelines take turns.
    color_strength: multiplies the four jitter strengths as SimCLR's s does, in place of the
      recipe's own (0.5 for "simclr_cifar", 1 for all others). 0 turns all colour distortion off:
      jitter, and grey and solarisation too, so that the views of an image keep its colours.
    hue: largest turn of the hue, in circles, whatever the strength (but nothing at strength 0).
    blur: False for none, True for the recipe's own (p = 0.5 if it has none), or a probability.
    min_area, max_area: smallest and largest crop, as fractions of the image.
    grey_p: probability of grey.
    flip: False for none, True for p = 0.5, or a probability.
    family: "simclr_v1", "simclr_v2" or "torchvision": takes crop, jitter and blur, all three, by
      that family's definitions.
    antialias: whether crops and images for evaluation are filtered where they shrink; None: as the
      recipe's authors, or the family, do.
    solarize: False for none, True for the recipe's own (p = 0.2 if it has none), or a probability.
    normalize: a key of `NORMALIZATIONS`.
    rotate, sobel, noise, cutout: probabilities of further operations, applied last, in this order.
    compose: operations of the first of two views alone, in this order, in place of all others; see
      `augment.compose`.
    local_views: further views of small crops, `Recipe.local` (multi-crop); 0 for none.
    local_size_px: their side; None is 96/224 of `size_px`.
    local_min_area, local_max_area: their smallest and largest crop.
    channels_of: "OPERATION:0,1,2": which channels an operation changes, see `augment.channels`.
    mean, std: of the pixels of each channel, in place of those of `normalize`.
    channels: of an image.

  Raises:
    UserError: an unknown name, or an option out of range or contradicting another.
  """
  row = _find(name)
  given = {
    "blur": blur,
    "grey_p": grey_p,
    "flip": flip,
    "solarize": solarize,
    "rotate": rotate,
    "sobel": sobel,
    "noise": noise,
    "cutout": cutout,
  }
  for option, p in given.items():
    overrides.check_probability(option, p)
  overrides.check_integer("size_px", size_px)
  overrides.check_integer("num_views", num_views)
  _check_local(local_views, name, row, local_size_px, local_min_area, local_max_area)
  row = overrides.with_areas(row, name, "", min_area, max_area)
  if family is not None:
    overrides.check_choice("family", family, color.JITTER_FAMILIES)
    torchvision = family == "torchvision"
    row = dataclasses.replace(
      row,
      sampler="torchvision" if torchvision else "tf",
      antialias=torchvision,
      jitter_family=family,
      blur_family="pillow" if torchvision else "tf",
    )
  if antialias is not None:
    overrides.check_choice("antialias", antialias, (False, True))
    row = dataclasses.replace(row, antialias=antialias)
  if normalize is not None:
    overrides.check_choice("normalize", normalize, tuple(NORMALIZATIONS))
    row = dataclasses.replace(row, normalize=normalize)
  row = dataclasses.replace(
    row,
    grey_p=row.grey_p if grey_p is None else float(grey_p),
    flip_p=row.flip_p if flip is None else overrides.probabilities(flip, (row.flip_p,), 0.5)[0],
    blur_p=overrides.probabilities(blur, row.blur_p, 0.5),
    solarize_p=overrides.probabilities(solarize, row.solarize_p, 0.2),
  )
  row = overrides.with_strength(row, color_strength, hue, {"grey_p": grey_p, "solarize": solarize})
  compose = (compose,) if isinstance(compose, str) else tuple(compose)
  if compose:
    compose_lib.check(compose, row, name, given | {"local_views": local_views})
  extras = {option: float(given[option]) for option in _EXTRAS}
  named = channels_lib.parsed(
    (channels_of,) if isinstance(channels_of, str) else channels_of, channels
  )
  own = NORMALIZATIONS[row.normalize]
  mean, std = channels_lib.normalization(own, row.normalize, channels, tuple(mean), tuple(std))

  def assigned(pipeline):
    return channels_lib.assigned(pipeline, channels, named, name)

  probe_crop = _crop(dataclasses.replace(row, min_area=0.08, max_area=1.0), size_px)
  if compose:
    both = tuple(map(assigned, compose_lib.pipelines(compose, row, size_px, _crop(row, size_px))))
  else:
    both = tuple(assigned(_pipeline(row, size_px, view, extras)) for view in (0, 1))
  built = Recipe(
    name=name,
    size_px=size_px,
    views=tuple(both[view % 2] for view in range(num_views)),
    probe=(("crop", probe_crop), ("flip", geometry.Flip(0.5))),
    interpolation=row.interpolation,
    antialias=row.antialias,
    mean=mean,
    std=std,
  )
  if not local_views:
    return built
  own_blur = row.blur_p[0] if row.local_blur_p is None else row.local_blur_p
  row = dataclasses.replace(
    row,
    blur_p=overrides.probabilities(blur, (own_blur,), 0.5),
    solarize_p=overrides.probabilities(solarize, (0.0,), 0.2),
    min_area=row.local_area[0],
    max_area=row.local_area[1],
    min_covered=min(row.min_covered, row.local_area[0]),
  )
  row = overrides.with_areas(row, name, "local_", local_min_area, local_max_area)
  side = round(_LOCAL_SIDE * size_px) if local_size_px is None else local_size_px
  views = (assigned(_pipeline(row, side, 0, extras)),) * local_views
  return dataclasses.replace(built, local=dataclasses.replace(built, size_px=side, views=views))


def _check_local(count: int, name: str, row: table.Row, *options: Any) -> None:
  """Raises `UserError` if local views cannot be had, or are described but not asked for."""
  if count:
    overrides.check_integer("local_views", count)
    if row.min_area is None:
      raise errors.UserError(
        f"augment.local_views {count}: recipe {name!r} does not crop; use another, e.g. 'swav'"
      )
    if options[0] is not None:
      overrides.check_integer("local_size_px", options[0])
  elif any(option is not None for option in options):
    raise errors.UserError(
      "augment.local_size_px, local_min_area and local_max_area have no effect: there are no local "
      "views; leave them out or use a method of multi-crop, e.g. swav"
    )


def _pipeline(row: table.Row, size_px: int, view: int, extras: dict[str, float]) -> Pipeline:
  operations = {
    "crop": _crop(row, size_px),
    "flip": geometry.Flip(row.flip_p),
    "jitter": color.Jitter(*row.jitter, p=row.jitter_p, family=row.jitter_family),
    "grey": color.Grey(row.grey_p),
    "blur": filters.Blur(row.blur_p[view], row.blur_family),
    "solarize": color.Solarize(row.solarize_p[view]),
    "rotate": geometry.Rotate(extras["rotate"]),
    "sobel": filters.Sobel(extras["sobel"]),
    "noise": filters.Noise(extras["noise"]),
    "cutout": geometry.Cutout(extras["cutout"]),
  }
  named = ((name, operations[name]) for name in row.order + _EXTRAS)
  return tuple((name, operation) for name, operation in named if getattr(operation, "p", 1.0) > 0)


def _crop(row: table.Row, size_px: int) -> crop.ResizedCrop | crop.Whole:
  if row.min_area is None:
    return crop.Whole(size_px, row.interpolation, row.antialias)
  return crop.ResizedCrop(
    size_px,
    min_area=row.min_area,
    max_area=row.max_area,
    sampler=row.sampler,
    interpolation=row.interpolation,
    antialias=row.antialias,
    min_covered=row.min_covered,
  )


def _find(name: str) -> table.Row:
  if name in table.ROWS:
    return table.ROWS[name]
  near = difflib.get_close_matches(str(name), NAMES, n=1)
  hint = f"did you mean {near[0]!r}? Known: " if near else "use one of: "
  raise errors.UserError(f"augment.recipe {name!r} is unknown; {hint}" + ", ".join(NAMES))
