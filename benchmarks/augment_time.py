"""What dm-pix costs under vmap, beside our own form of each operation; two tables in Markdown.

python benchmarks/augment_time.py [--part=operations,steps] [--runs=21]

CPU time of the process, so that other work on the machine counts little: both forms in turn,
medians. A ratio above 1 says that dm-pix is slower. The first table has 64 images, one operation
and its parameters as drawn; the second whole training steps of SimCLR on random pixels. The package
uses one form of each operation, which the first table names; the other stands here.
"""

import contextlib
import statistics
import time
from collections.abc import Callable
from unittest import mock

import dm_pix as pix
import jax
import jax.numpy as jnp
import numpy as np
import one_step
from absl import app, flags, logging

from contrastive_jax import config_files
from contrastive_jax.augment import color, filters, geometry

_PARTS = flags.DEFINE_list("part", ["operations", "steps"], "What to measure.")
_RUNS = flags.DEFINE_integer("runs", 21, "Of each form; a third as many at 224 px.")
_BATCH = 64


def own_flip(operation, params, image):
  return jnp.where(params["on"], image[:, ::-1], image)


def own_rotate(operation, params, image):
  turns = jnp.where(params["on"], params["turns"], 0)
  image = jnp.where(turns % 2 == 1, image.swapaxes(0, 1), image)
  image = jnp.where((turns == 1) | (turns == 2), image[::-1], image)
  return jnp.where(turns >= 2, image[:, ::-1], image)


def own_solarize(operation, params, image):
  return jnp.where(params["on"] & (image >= operation.threshold), 1.0 - image, image)


def own_jitter(operation, params, image):
  """Three slots for brightness, contrast or saturation, the hue, three slots."""
  order, step = params["order"], jnp.arange(4)
  hue_step = jnp.sum(jnp.where(order == 3, step, 0))
  before = jnp.where(step < hue_step, order, 3)[:3]
  after = jnp.where(step > hue_step, order, 3)[1:]
  amounts = tuple(params[name] for name in ("brightness", "contrast", "saturation"))

  def slot(planes, kind):
    return _SLOTS[operation.family](planes, kind, amounts), None

  planes, _ = jax.lax.scan(slot, jnp.moveaxis(image, -1, 0), before)
  planes, _ = jax.lax.scan(slot, _own_hue(planes, params["hue"]), after)
  return jnp.where(params["on"], jnp.moveaxis(planes, 0, -1), image)


def _own_hue(planes, turn):
  """Turns the hue without a way through S: channel = least + chroma * ramp(hue)."""
  red, green, blue = planes
  value, least = planes.max(0), planes.min(0)
  chroma = value - least
  scale = 1.0 / jnp.where(chroma > 0, chroma, 1.0)
  hue = jnp.where(value == green, 2.0 + (blue - red) * scale, 4.0 + (red - green) * scale)
  hue = jnp.where(value == red, (green - blue) * scale, hue) + 6.0 * turn
  hue = hue - 6.0 * jnp.floor(hue / 6.0)
  ramps = (jnp.abs(hue - 3.0) - 1.0, 2.0 - jnp.abs(hue - 2.0), 2.0 - jnp.abs(hue - 4.0))
  return jnp.stack([least + chroma * jnp.clip(ramp, 0.0, 1.0) for ramp in ramps])


def _tf_slot(planes, kind, amounts):
  """To scale S by f is to blend with the largest channel V by f, at most V / (V - least)."""
  factor = color._select(kind, amounts)
  value, least = planes.max(0), planes.min(0)
  most = value / jnp.maximum(value - least, 1e-12)
  scale = jnp.where(kind == 2, jnp.minimum(factor, most), factor)
  pixelwise = jnp.where(kind == 2, 1.0 - scale, 0.0) * value
  mean = planes.mean((1, 2), keepdims=True)
  constant = jnp.where(kind == 1, 1.0 - factor, 0.0) * mean
  return jnp.clip(scale * planes + (pixelwise + constant), 0.0, 1.0)


def _tf_added_slot(planes, kind, amounts):
  shift = jnp.where(kind == 0, amounts[0], 0.0)
  return jnp.clip(_tf_slot(planes, kind, (1.0, *amounts[1:])) + shift, 0.0, 1.0)


_SLOTS = {"simclr_v1": _tf_added_slot, "simclr_v2": _tf_slot, "torchvision": color._blend}


def switched_jitter(operation, params, image):
  """dm-pix with a branch for each operation: vmap computes all four at each of the four steps."""
  names = ("brightness", "contrast", "saturation", "hue")
  functions = (pix.adjust_brightness, pix.adjust_contrast, pix.adjust_saturation, pix.adjust_hue)
  branches = [
    lambda image, function=function, name=name: jnp.clip(function(image, params[name]), 0.0, 1.0)
    for function, name in zip(functions, names, strict=True)
  ]
  changed = image
  for step in range(4):
    changed = jax.lax.switch(params["order"][step], branches, changed)
  return jnp.where(params["on"], changed, image)


def pix_grey(operation, params, image):
  return jnp.where(params["on"], pix.rgb_to_grayscale(image, keep_dims=True), image)


def pix_contrast(operation, params, image):
  changed = jnp.clip(pix.adjust_contrast(image, params["contrast"]), 0.0, 1.0)
  return jnp.where(params["on"], changed, image)


def pix_saturation(operation, params, image):
  changed = jnp.clip(pix.adjust_saturation(image, params["saturation"]), 0.0, 1.0)
  return jnp.where(params["on"], changed, image)


def pix_blur(operation, params, image):
  blurred = pix.gaussian_blur(image, params["sigma_px"], image.shape[0] // 10)
  return jnp.where(params["on"], jnp.clip(blurred, 0.0, 1.0), image)


_STRENGTHS = (0.8, 0.8, 0.8, 0.2)
_V1 = color.Jitter(*_STRENGTHS, family="simclr_v1")
# What it is, the operation, whose form it has in the package, the other form.
_ROWS = [
  ("flip", geometry.Flip(), "dm-pix", own_flip),
  ("right-angle turns", geometry.Rotate(), "dm-pix", own_rotate),
  ("solarisation", color.Solarize(0.5), "dm-pix", own_solarize),
  *(
    (f"jitter, {family}", color.Jitter(*_STRENGTHS, family=family), "dm-pix", own_jitter)
    for family in color.JITTER_FAMILIES
  ),
  ("grey", color.Grey(0.5), "own", pix_grey),
  ("blur, tf", filters.Blur(1.0), "own", pix_blur),
  ("switch of dm-pix, simclr_v1", _V1, "dm-pix without", switched_jitter),
]
# Alike in name only: what the definitions differ by.
_OTHERS = [
  ("contrast, torchvision", color.Jitter(0.0, 0.8, 0.0, 0.0), pix_contrast),
  ("saturation, torchvision", color.Jitter(0.0, 0.0, 0.8, 0.0), pix_saturation),
  ("blur, pillow", filters.Blur(1.0, "pillow"), pix_blur),
]


def cpu_ratio(first: Callable, second: Callable, runs: int, calls: int = 1) -> tuple[float, float]:
  """Returns the ratio of the median CPU times of two calls, run in turn, and the first's.

  Args:
    first, second: what is called.
    runs: of each.
    calls: in one run, for what is over too soon to be measured.
  """
  taken = {first: [], second: []}
  for run in range(runs + 1):
    for call in (first, second) if run % 2 else (second, first):
      start = time.process_time()
      for _ in range(calls):
        jax.block_until_ready(call())
      taken[call].append(time.process_time() - start)
  medians = [statistics.median(times[1:]) for times in taken.values()]
  return medians[0] / medians[1], medians[0]


def prepare(operation, other: Callable, size_px: int) -> tuple[Callable, Callable, float]:
  """Returns a call of the package's form, one of the other, and their largest difference."""
  rng = np.random.default_rng(0)
  image = rng.random((_BATCH, size_px, size_px, 3), np.float32)
  image = jnp.asarray(image * rng.random((_BATCH, 1, 1, 3), np.float32))  # each of its own colour
  extent = jnp.full(2, size_px)
  sample = jax.jit(jax.vmap(lambda key: operation.sample(key, extent)))
  params = sample(jax.random.split(jax.random.key(0), _BATCH))
  forms = (operation.apply, lambda params, image: other(operation, params, image))
  ours, others = (jax.jit(jax.vmap(form)).lower(params, image).compile() for form in forms)
  difference = float(jnp.abs(ours(params, image) - others(params, image)).max())
  return lambda: ours(params, image), lambda: others(params, image), difference


def operations() -> None:
  print("| operation | used | largest difference | dm-pix / own, 32 px | 224 px |")
  print("|---|---|--:|--:|--:|")
  for name, operation, used, other in _ROWS:
    differences, ratios = [], []
    for size_px, runs, calls in ((32, _RUNS.value, 20), (224, max(3, _RUNS.value // 3), 1)):
      ours, others, difference = prepare(operation, other, size_px)
      ratio, _ = cpu_ratio(ours, others, runs, calls)
      differences.append(difference)
      ratios.append(ratio if used == "dm-pix" else 1 / ratio)
    cells = [name, used, f"{max(differences):.2g}", *(f"{ratio:.2f}" for ratio in ratios)]
    print("| " + " | ".join(cells) + " |", flush=True)
  for name, operation, other in _OTHERS:
    difference = max(prepare(operation, other, size_px)[2] for size_px in (32, 224))
    print(f"| {name} | own | {difference:.2g} | - | - |", flush=True)


# What is run: a config, and what is changed in it.
_STEPS = {
  "shapes/quickstart, 32 px, batch 256": {},
  "the same, family torchvision": {"augment.family": "torchvision"},
  "224 px, stem imagenet, recipe byol, batch 32": {
    "image_size_px": 224,
    "batch_size": 32,
    "model.stem": "imagenet",
    "augment.recipe": "byol",
    "augment.blur": None,
  },
}
_OWN = {
  geometry.Flip: own_flip,
  color.Solarize: own_solarize,
  color.Jitter: own_jitter,
}


def compiled_step(overrides: dict, own: bool) -> tuple[Callable, float]:
  """Returns a call that takes one step, and the first loss."""
  config = config_files.load("configs/shapes/quickstart.py")
  config.update_from_flattened_dict(overrides)
  with contextlib.ExitStack() as patches:
    for operation, form in _OWN.items() if own else ():
      patches.enter_context(mock.patch.object(operation, "apply", form))
    step = one_step.compiled(config)
  return step, float(step()[1]["loss"])


def steps() -> None:
  print("| step | loss | loss, own form | CPU time | dm-pix / own |")
  print("|---|--:|--:|--:|--:|")
  for name, overrides in _STEPS.items():
    (ours, loss), (owns, own_loss) = (compiled_step(overrides, own) for own in (False, True))
    ratio, seconds = cpu_ratio(ours, owns, max(5, _RUNS.value // 3))
    print(f"| {name} | {loss:.6f} | {own_loss:.6f} | {seconds:.2f} s | {ratio:.3f} |", flush=True)


def main(argv: list[str]) -> None:
  del argv
  logging.set_verbosity(logging.WARNING)
  for part in _PARTS.value:
    {"operations": operations, "steps": steps}[part]()


if __name__ == "__main__":
  app.run(main)
