"""CPU time of a SimCLR step of ResNet-18 beside the same step of lightly's parts in PyTorch.

taskset -c 0 python benchmarks/lightly_step.py [--part=steps] [--part=layers] [--runs=5]

Needs PyTorch, torchvision and lightly beside the package. CPU time of the process, so that other
work on the machine counts little, on one core: on several, threads of OpenMP spin while they wait,
which counts as time of PyTorch. Medians after one run that does not count; two tables in Markdown.

Steps, each form in processes of its own, in turn, ours as the command starts (its malloc keeps what
is freed): CIFAR's stem, float32, a head of two layers to 128 numbers, NT-Xent, SGD with momentum,
views of 32 px of made-up images. Ours is the whole step, with both views made in it and what it
reports; of lightly the step on views that are there and the making of the views
(`SimCLRTransform`) are measured apart.

Layers, in one process in turn: the convolutions of the network by themselves, forward and both
gradients, in GFLOP/s, of 256 images.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import lightly
import numpy as np
import one_step
import torch
import torchvision
from absl import app, flags, logging
from lightly import loss, transforms
from lightly.models import modules
from PIL import Image

from contrastive_jax import config_files
from contrastive_jax.models import convolution

_FORM = flags.DEFINE_string("form", None, "One of those of steps, in this process alone.")
_SIZE = flags.DEFINE_integer("size", 32, "Its images.")
_ROUNDS = flags.DEFINE_integer("rounds", 2, "Processes of each form.", lower_bound=1)
_RUNS = flags.DEFINE_integer("runs", 5, "Of each form.", lower_bound=1)
_PARTS = flags.DEFINE_multi_enum("part", ["steps", "layers"], ["steps", "layers"], "Of these.")
_SIZES, _SIDE_PX = (32, 128), 32
# Side in pixels, channels in and out, the kernel's side, stride.
_LAYERS = (
  (32, 64, 64, 3, 1),
  (32, 64, 128, 3, 2),
  (16, 128, 128, 3, 1),
  (16, 128, 256, 3, 2),
  (8, 256, 256, 3, 1),
  (8, 256, 512, 3, 2),
  (4, 512, 512, 3, 1),
)
_IMAGES = 256


def ours(pixels: np.ndarray) -> Callable[[], object]:
  config = config_files.load("configs/cifar10/simclr.py")
  config.update_from_flattened_dict(
    {"batch_size": len(pixels), "model.dtype": "float32", "method.head_width": 512}
  )
  config.augment.recipe = "simclr_cifar"
  step = one_step.compiled(config, pixels)
  return lambda: jax.block_until_ready(step())


class Network(torch.nn.Module):
  """ResNet-18 with CIFAR's stem under lightly's head."""

  def __init__(self):
    super().__init__()
    resnet = torchvision.models.resnet18()
    resnet.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
    resnet.maxpool = torch.nn.Identity()
    resnet.fc = torch.nn.Identity()
    self.backbone, self.head = resnet, modules.SimCLRProjectionHead(512, 512, 128)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    return self.head(self.backbone(x))


def lightly_step(pixels: np.ndarray) -> Callable[[], object]:
  network, criterion = Network(), loss.NTXentLoss(temperature=0.5)
  optimizer = torch.optim.SGD(network.parameters(), lr=0.06, momentum=0.9, weight_decay=5e-4)
  views = [
    torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255) for _ in range(2)
  ]

  def step():
    value = criterion(network(views[0]), network(views[1]))
    value.backward()
    optimizer.step()
    optimizer.zero_grad()
    return value.item()

  return step


def lightly_views(pixels: np.ndarray) -> Callable[[], object]:
  make = transforms.SimCLRTransform(input_size=_SIDE_PX, gaussian_blur=0.0)
  pictures = [Image.fromarray(image) for image in pixels]
  return lambda: [make(picture) for picture in pictures]


_FORMS = {"ours": ours, "step": lightly_step, "views": lightly_views}


def medians(forms: list[Callable[[], object]]) -> list[float]:
  taken = [[] for _ in forms]
  for run in range(_RUNS.value + 1):
    for form, times in zip(forms, taken, strict=True):
      start = time.process_time()
      form()
      if run:
        times.append(time.process_time() - start)
  return [statistics.median(times) for times in taken]


def one(form: str) -> None:
  """Prints the seconds of one form, in a process that does nothing else."""
  if form == "ours":
    import as_command  # noqa: F401
  shape = (_SIZE.value, _SIDE_PX, _SIDE_PX, 3)
  pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
  print(*medians([_FORMS[form](pixels)]))


def steps() -> None:
  print("| images | ours | lightly's step | its views | ours / step | ours / step and views |")
  print("|--:|--:|--:|--:|--:|--:|")
  for size in _SIZES:
    taken = {form: [] for form in _FORMS}
    for _ in range(_ROUNDS.value):
      for form, times in taken.items():
        words = [f"--form={form}", f"--size={size}", f"--runs={_RUNS.value}"]
        said = subprocess.check_output([sys.executable, __file__, *words], text=True)
        times.append(float(said.split()[-1]))
    a, b, c = map(statistics.median, taken.values())
    row = f"{size} | {a:.2f} s | {b:.2f} s | {c:.2f} s | {a / b:.2f} | {a / (b + c):.2f}"
    print(f"| {row} |", flush=True)


def convolutions(side, channels_in, channels_out, size, stride) -> list[Callable[[], object]]:
  """Returns ours and PyTorch's in turn: forward, by the images, by the kernel."""
  rng = np.random.default_rng(0)
  x = rng.random((_IMAGES, side, side, channels_in), np.float32)
  kernel = rng.random((size, size, channels_in, channels_out), np.float32)
  dy = rng.random((_IMAGES, side // stride, side // stride, channels_out), np.float32)
  theirs = [torch.from_numpy(a.transpose(0, 3, 1, 2).copy()) for a in (x, dy)]
  weight = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
  pad = size // 2
  x, kernel, dy = map(jnp.asarray, (x, kernel, dy))

  def convolve(x, kernel):
    return convolution.convolve(x, kernel, (stride, stride), [(pad, pad)] * 2)

  def by(number):
    return jax.jit(lambda *of: jax.vjp(convolve, *of[:2])[1](of[2])[number])

  mine = [jax.jit(lambda x, kernel, dy: convolve(x, kernel)), by(0), by(1)]

  def torch_by(images, kernels):
    return lambda: torch.ops.aten.convolution_backward(
      *(theirs[1], theirs[0], weight, None, [stride] * 2, [pad] * 2, [1, 1], False, [0, 0], 1),
      [images, kernels, False],
    )

  peers = [
    lambda: torch.nn.functional.conv2d(theirs[0], weight, None, stride, pad),
    torch_by(True, False),
    torch_by(False, True),
  ]
  blocked = [lambda f=f: jax.block_until_ready(f(x, kernel, dy)) for f in mine]
  return [form for pair in zip(blocked, peers, strict=True) for form in pair]


def layers() -> None:
  print(
    "| side | channels | stride | forward | PyTorch | by images | PyTorch | by kernel | PyTorch |"
  )
  print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
  for layer in _LAYERS:
    side, channels_in, channels_out, size, stride = layer
    work = 2e-9 * _IMAGES * (side // stride) ** 2 * channels_in * channels_out * size**2
    speeds = " | ".join(f"{work / taken:.0f}" for taken in medians(convolutions(*layer)))
    print(f"| {side} | {channels_in} to {channels_out} | {stride} | {speeds} |", flush=True)


def main(argv: list[str]) -> None:
  del argv
  logging.set_verbosity(logging.WARNING)
  torch.manual_seed(0)
  if _FORM.value:
    one(_FORM.value)
    return
  print(f"jax {jax.__version__}, PyTorch {torch.__version__}, lightly {lightly.__version__}\n")
  for part in dict.fromkeys(_PARTS.value):
    {"steps": steps, "layers": layers}[part]()


if __name__ == "__main__":
  app.run(main)
