"""What weights tell of their network: the backbone's name and the options that change a shape.

The same is asked of a file and of a configured network, so that what differs can be named.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from contrastive_jax import catalogue, errors
from contrastive_jax.models import resnet, vit

Shapes = Mapping[str, tuple[int, ...]]  # of arrays below the backbone, by our dotted names
_AXES = {  # of what is looked at below
  "params.class_token": 1,
  "params.patch.kernel": 2,
  "params.stem_norm.scale": 1,
  "params.stem_conv.kernel": 4,
}
_SQUEEZED = 32  # the fewest channels of a selective kernel's bottleneck


def of(shapes: Shapes, heads: int | None = None) -> dict[str, Any]:
  """Returns options of a `model` section: "name" and those that the shapes show.

  Args:
    shapes: of all arrays.
    heads: of a ViT's attention, which no shape shows; None: 64 features each, as most have.

  Raises:
    UserError: no backbone here is built like this.
  """
  for name, axes in _AXES.items():
    shape = shapes.get(name)
    if shape is not None and (len(shape) != axes or 0 in shape):
      raise errors.UserError(f"{name} is {list(shape)}, which no network here has; get it again")
  if "params.class_token" in shapes:
    return _of_vit(shapes, heads)
  if "params.stem_conv.kernel" in shapes and "params.stem_norm.scale" in shapes:
    return _of_resnet(shapes)
  raise errors.UserError("neither a ResNet nor a ViT: its first layer is not there")


def _of_resnet(shapes: Shapes) -> dict[str, Any]:
  stages: dict[int, int] = {}
  for match in filter(None, (re.match(r"params\.block(\d)_(\d+)\.", name) for name in shapes)):
    stage, number = int(match[1]), int(match[2])
    stages[stage] = max(stages.get(stage, 0), number)
  sizes = tuple(stages[stage] for stage in sorted(stages))
  deep = "params.block1_1.conv3.kernel" in shapes
  block = resnet.BottleneckBlock if deep else resnet.BasicBlock
  (channels,) = shapes["params.stem_norm.scale"]
  name = _named(resnet, lambda args: args[:2] == (sizes, block))
  if not name:
    raise errors.UserError(
      f"a ResNet of {' + '.join(map(str, sizes))} {'bottleneck' if deep else 'basic'} blocks, "
      f"which no backbone here is; there are {', '.join(resnet.__all__)}"
    )
  base = getattr(resnet, name).args[2:] or (64,)
  kernel_px = shapes["params.stem_conv.kernel"][0]
  deep_stem = "params.stem_conv1.kernel" in shapes
  if kernel_px not in (3, 7):
    raise errors.UserError(
      f"its first convolution is {kernel_px} x {kernel_px}, not 7 x 7 or 3 x 3"
    )
  stem = "imagenet" if kernel_px == 7 or deep_stem else "cifar"
  found = {"name": name, "width": channels / base[0], "stem": stem}
  # What no shape shows is as nearly everywhere; a layout where it is not says so.
  return found | {"stem_relu": True, "sk_ratio": _sk_ratio(shapes)}


def _sk_ratio(shapes: Shapes) -> float:
  """Returns the ratio of selective kernels; that of SimCLR v2 where all are at their least."""
  squeezed = [
    shape
    for name, shape in shapes.items()
    if name.endswith(".sk.squeeze.kernel") and len(shape) == 4
  ]
  if not squeezed:
    return 0.0
  widest = max(squeezed, key=lambda shape: shape[2])
  return widest[3] / widest[2] if widest[3] > _SQUEEZED else 0.0625


def _of_vit(shapes: Shapes, heads: int | None) -> dict[str, Any]:
  (width,) = shapes["params.class_token"]
  count = len({m[1] for m in (re.match(r"params\.block(\d+)\.", n) for n in shapes) if m})
  heads = heads or max(1, width // 64)
  name = _named(vit, lambda args: args == (width, count, heads))
  if not name:
    raise errors.UserError(
      f"a ViT of {count} blocks, {width} features and {heads} heads, which no backbone here is; "
      f"there are {', '.join(vit.__all__)}"
    )
  if "params.patch.kernel" not in shapes:
    raise errors.UserError("a ViT whose patches pass more than one layer (a convolutional stem)")
  positions = "learned" if "params.positions" in shapes else "sincos"
  patch_px = math.isqrt(shapes["params.patch.kernel"][0] // 3)
  # The epsilon, which no shape shows, is as nearly everywhere; a layout where it is not says so.
  return {"name": name, "patch_px": patch_px, "positions": positions, "ln_eps": 1e-6}


def _named(family, fits) -> str | None:
  """Returns the name of the first backbone of a family whose arguments fit."""
  return next((name for name in family.__all__ if fits(getattr(family, name).args)), None)


def heads_of(name: str) -> int | None:
  """Returns the heads of a ViT, None for a ResNet."""
  return getattr(vit, name).args[2] if catalogue.family_of(name) == "vit" else None


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
  """Returns {option: (theirs, ours)} of what differs; of different families, the name alone."""
  if theirs["name"] != ours["name"]:
    families = {catalogue.family_of(facts["name"]) for facts in (theirs, ours)}
    if len(families) == 2:
      return {"name": (theirs["name"], ours["name"])}
  keys = [key for key in theirs if key in ours and theirs[key] != ours[key]]
  return {key: (theirs[key], ours[key]) for key in keys}


def padding_matters(stem: str, theirs: str, ours: str) -> bool:
  """Returns whether two paddings pad this network differently; without a max-pool fewer do."""
  convolutions = resnet.SYMMETRIC_CONV[theirs] != resnet.SYMMETRIC_CONV[ours]
  pool = resnet.SYMMETRIC_POOL[theirs] != resnet.SYMMETRIC_POOL[ours]
  return convolutions or (stem == "imagenet" and pool)
