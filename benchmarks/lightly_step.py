"""CPU time of a SimCLR step of ResNet-18 beside the same step of lightly's parts in PyTorch.

taskset -c 0 python benchmarks/lightly_step.py [--runs=5] [--batch_sizes=32,128]

Needs PyTorch, torchvision and lightly beside the package. CPU time of the process, so that other
work on the machine counts little, on one core: on several, threads of OpenMP spin while they wait,
which counts as time of PyTorch. The two in turn, medians after one step of each that does not
count, a table in Markdown.

Both: CIFAR's stem, float32, a head of two layers to 128 numbers, NT-Xent, SGD with momentum, views
of 32 px of made-up images. Ours is the whole step, with both views made in it and what it reports;
of lightly the step on views that are there and the making of the views (`SimCLRTransform`) are
measured apart.
"""

import statistics
import time
from collections.abc import Callable

import jax
import lightly
import numpy as np
import torch
import torchvision
from absl import app, flags, logging
from lightly import loss, transforms
from lightly.models import modules
from PIL import Image

from contrastive_jax import build, config_files, parallel
from contrastive_jax.step import state as state_lib

_RUNS = flags.DEFINE_integer("runs", 5, "Of each form.", lower_bound=1)
_SIZES = flags.DEFINE_multi_integer("batch_sizes", [32, 128], "Images in a step.")
_SIDE_PX = 32


def ours(pixels: np.ndarray) -> Callable[[], object]:
  config = config_files.load("configs/cifar10/simclr.py")
  config.update_from_flattened_dict(
    {"batch_size": len(pixels), "model.dtype": "float32", "method.head_width": 512}
  )
  config.augment.recipe = "simclr_cifar"
  batch = {
    "image": pixels,
    "extent": np.full((len(pixels), 2), _SIDE_PX, np.int32),
    "mask": np.ones(len(pixels), bool),
    "label": np.zeros(len(pixels), np.int32),
    "index": np.arange(len(pixels), dtype=np.int32),
    "replaced": np.zeros(len(pixels), np.int32),
  }
  mesh = parallel.make_mesh()
  run = build.run(config, 100 * len(pixels), 10, mesh.size)
  state = state_lib.create(run.init, seed=0, mesh=mesh, fsdp=config.fsdp)
  batch = parallel.put(batch, mesh)
  with parallel.use(mesh):
    compiled = jax.jit(run.step).lower(state, batch).compile()
  return lambda: jax.block_until_ready(compiled(state, batch))


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


def main(argv: list[str]) -> None:
  del argv
  logging.set_verbosity(logging.WARNING)
  torch.manual_seed(0)
  print(f"jax {jax.__version__}, PyTorch {torch.__version__}, lightly {lightly.__version__}\n")
  print("| images | ours | lightly's step | its views | ours / step | ours / step and views |")
  print("|--:|--:|--:|--:|--:|--:|")
  for size in _SIZES.value:
    pixels = np.random.default_rng(0).integers(0, 256, (size, _SIDE_PX, _SIDE_PX, 3), np.uint8)
    forms = [make(pixels) for make in (ours, lightly_step, lightly_views)]
    taken = [[] for _ in forms]
    for run in range(_RUNS.value + 1):
      for form, times in zip(forms, taken, strict=True):
        start = time.process_time()
        form()
        if run:
          times.append(time.process_time() - start)
    a, b, c = (statistics.median(times) for times in taken)
    row = f"{size} | {a:.2f} s | {b:.2f} s | {c:.2f} s | {a / b:.2f} | {a / (b + c):.2f}"
    print(f"| {row} |", flush=True)


if __name__ == "__main__":
  app.run(main)
