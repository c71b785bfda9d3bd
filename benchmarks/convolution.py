"""What gradients of convolutions of our own spare on a CPU; two tables in Markdown.

python benchmarks/convolution.py [--part=layers,steps] [--runs=5] [--rows=NAME,NAME]

CPU time of the process, so that other work on the machine counts little: XLA's gradients and those
of `models/convolution.py` in turn, medians. A ratio below 1 says that ours take less. The first
table has the gradients of single layers with respect to the kernel, the second whole training steps
on random pixels.
"""

import statistics
import time
from collections.abc import Callable
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import one_step
from absl import app, flags, logging

from contrastive_jax import config_files
from contrastive_jax.models import convolution

_PARTS = flags.DEFINE_list("part", ["layers", "steps"], "What to measure.")
_RUNS = flags.DEFINE_integer("runs", 5, "Of each form.")
_ROWS = flags.DEFINE_list("rows", None, "Steps to measure; all by default.")

# Images, their side in pixels, channels in and out, the kernel's side, stride.
_LAYERS = [
  (256, 32, 64, 64, 3, 1),
  (256, 16, 128, 128, 3, 1),
  (256, 16, 128, 256, 3, 2),
  (256, 4, 512, 512, 3, 1),
  (64, 32, 64, 128, 1, 2),
  (32, 28, 512, 128, 1, 1),
  (512, 8, 32, 32, 3, 1),
  (512, 16, 16, 16, 3, 1),
  (64, 56, 64, 64, 3, 1),
  (64, 28, 128, 128, 3, 1),
]
_QUICKSTART = "configs/shapes/quickstart.py"
_STEPS = {
  "quickstart": (_QUICKSTART, {}),
  "quickstart_parts": (_QUICKSTART, {"micro_batches": 4, "model.bn_groups": 4}),
  "cifar10_cpu": ("configs/cifar10/simclr.py:cpu", {}),
  "resnet18_32": ("configs/cifar10/simclr.py", {"batch_size": 32}),
  "resnet18_128": ("configs/cifar10/simclr.py", {"batch_size": 128}),
}


def in_turn(first: Callable, second: Callable) -> tuple[float, float]:
  """Returns the median CPU time of two calls, after one of each that does not count."""
  taken = {first: [], second: []}
  for run in range(_RUNS.value + 1):
    for call in (first, second) if run % 2 else (second, first):
      start = time.process_time()
      jax.block_until_ready(call())
      taken[call].append(time.process_time() - start)
  return tuple(statistics.median(times[1:]) for times in taken.values())


def both(make: Callable[[], Callable]) -> list[Callable]:
  """Returns what `make` compiles with XLA's gradients, and with ours."""
  made = []
  for platforms in ((), ("cpu",)):
    with mock.patch.object(convolution, "_OWN_GRADIENTS_ON", platforms):
      made.append(make())
  return made


def kernel_gradient(images, side, channels_in, channels_out, size, stride) -> Callable:
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.random((images, side, side, channels_in), np.float32))
  kernel = jnp.asarray(rng.random((size, size, channels_in, channels_out), np.float32))
  dy = jnp.asarray(rng.random((images, side // stride, side // stride, channels_out), np.float32))

  def gradient(x, kernel, dy):
    strides = (stride, stride)
    of = lambda k: convolution.convolve(x, k, strides, "SAME")  # noqa: E731
    return jax.vjp(of, kernel)[1](dy)

  compiled = jax.jit(gradient).lower(x, kernel, dy).compile()
  return lambda: compiled(x, kernel, dy)


def layers() -> None:
  print("| images | side | channels | kernel | stride | XLA | ours | ratio |")
  print("|--:|--:|--:|--:|--:|--:|--:|--:|")
  for layer in _LAYERS:
    xla, ours = in_turn(*both(lambda layer=layer: kernel_gradient(*layer)))
    images, side, channels_in, channels_out, size, stride = layer
    print(
      f"| {images} | {side} | {channels_in} to {channels_out} | {size} | {stride} "
      f"| {1e3 * xla:.1f} ms | {1e3 * ours:.1f} ms | {ours / xla:.2f} |",
      flush=True,
    )


def step(name: str, overrides: dict) -> Callable:
  config = config_files.load(name)
  config.update_from_flattened_dict(overrides)
  return one_step.compiled(config)


def steps() -> None:
  print("| step | XLA | ours | ratio |")
  print("|---|--:|--:|--:|")
  for row in _ROWS.value or _STEPS:
    xla, ours = in_turn(*both(lambda row=row: step(*_STEPS[row])))
    print(f"| {row} | {xla:.2f} s | {ours:.2f} s | {ours / xla:.2f} |", flush=True)


def main(argv: list[str]) -> None:
  del argv
  logging.set_verbosity(logging.WARNING)
  for part in _PARTS.value:
    {"layers": layers, "steps": steps}[part]()


if __name__ == "__main__":
  app.run(main)
