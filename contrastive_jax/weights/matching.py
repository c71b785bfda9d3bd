"""Whether weights are those of a run's network, and what differs.

What they say must be so in the network that is to take them: another depth, width, stem, padding or
patch is refused by name.
"""

import logging
from typing import Any

from ml_collections import ConfigDict

from contrastive_jax import build, catalogue, errors
from contrastive_jax import config as config_lib
from contrastive_jax.weights import facts, of_run, vit_names
from contrastive_jax.weights.start import Weights


def config_of(weights: Weights, recipe: str = "simclr", channels: int = 3) -> ConfigDict:
  """Returns the config of a run whose network is that of the weights, without a head."""
  made = config_lib.pretrain("simclr", weights.model["name"], recipe)
  made.method.head = "none"  # z is h
  for key, value in weights.model.items():
    if key in made.model:  # metadata may name any
      made.model[key] = float(value) if isinstance(made.model[key], float) else value
  made.data.channels = channels
  made.image_size_px = weights.model.get("patch_px", made.image_size_px)  # which divides it
  return made


def check(weights: Weights, config: ConfigDict) -> Weights:
  """Returns the weights as the network of a run takes them.

  Raises:
    UserError: they are of another network; what differs is named, and what to set.
  """
  ours = of_run.model_of(config)
  found = facts.differences(weights.model, ours)
  if "padding" in found and not facts.padding_matters(ours["stem"], *found["padding"]):
    del found["padding"]
  if found:
    check_shapes(weights, config_of(weights, channels=config.data.channels))  # or no name helps
    said = ", ".join(f"{key} {theirs} (here: {here})" for key, (theirs, here) in found.items())
    keys = " ".join(f"--config.model.{key}={theirs}" for key, (theirs, _) in found.items())
    remedy = f"set {keys}"
    if catalogue.family_of(weights.model["name"]) != catalogue.family_of(ours["name"]):
      kind = "ViT" if catalogue.family_of(weights.model["name"]) == "vit" else "ResNet"
      remedy = f"take a config whose network is a {kind}, with options of its own"
    raise errors.UserError(
      f"init.path {weights.source} (layout {weights.layout}) is of another network: {said}; "
      f"{remedy}, or give other weights"
    )
  shapes = check_shapes(weights, config)
  _say_if_standardised_otherwise(weights, config)
  arrays = dict(weights.arrays)
  wanted = shapes.get(vit_names.POSITIONS)
  if wanted and arrays[vit_names.POSITIONS].shape != wanted:
    arrays[vit_names.POSITIONS] = vit_names.resized(arrays[vit_names.POSITIONS], wanted[0])
    logging.getLogger(__name__).info(
      "%s: positions of %d patches resized to %d",
      *(weights.source, len(weights.arrays[vit_names.POSITIONS]) - 1, wanted[0] - 1),
    )
  return weights._replace(arrays=arrays)


def _say_if_standardised_otherwise(weights: Weights, config: ConfigDict) -> None:
  theirs, ours = weights.preparation, of_run.preparation_of(config)
  if all(theirs.get(key, ours[key]) == ours[key] for key in ("normalize", "mean", "std")):
    return
  logging.getLogger(__name__).warning(
    "warning: the network of %s saw images standardised as %s, and this run's sees them as %s; to "
    "go on as it was set augment.%s",
    *(weights.source, _standard(theirs), _standard(ours)),
    f"normalize={theirs['normalize']}" if theirs["normalize"] else "mean and augment.std so",
  )


def _standard(how: dict[str, Any]) -> str:
  return how["normalize"] or f"mean {how['mean']}, std {how['std']}"


def check_shapes(weights: Weights, config: ConfigDict) -> facts.Shapes:
  """Returns the shapes of the backbone of a config, which the weights have; but for positions.

  Learned positions may be of images of another size: they are resized for those that come.

  Raises:
    UserError: an array is missing, one too many, or of another shape.
  """
  shapes = build.backbone_shapes(config)
  for name in [*shapes, *weights.arrays]:
    held = weights.arrays[name].shape if name in weights.arrays else None
    wanted = shapes.get(name)
    if held == wanted or (
      name == vit_names.POSITIONS and held and wanted and held[1:] == wanted[1:]
    ):
      continue
    said = f"nothing is {name}" if held is None else f"{weights.origin[name]} is {list(held)}"
    there = "nothing there" if wanted is None else f"{list(wanted)} ({name})"
    raise errors.UserError(
      f"init.path {weights.source} (layout {weights.layout}): {said}, where "
      f"{weights.model['name']} has {there}{_of_channels(held, wanted)}; give other weights"
    )
  return shapes


def _of_channels(held: tuple[int, ...] | None, wanted: tuple[int, ...] | None) -> str:
  """Returns what tells that a first kernel [h, w, in, out] is of images of other channels."""
  if not (held and wanted and len(held) == len(wanted) == 4):
    return ""
  if held[:2] + held[3:] != wanted[:2] + wanted[3:]:
    return ""
  return f", for images of {wanted[2]} channels (data.channels) and not of {held[2]}"
