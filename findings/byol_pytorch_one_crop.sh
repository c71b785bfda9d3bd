#!/bin/sh
# byol-pytorch, and the Dino, EsViT and LeJEPA of vit-pytorch, draw one view for a whole batch: all its images are
# cropped at one place, mirrored or not together, and have one colour; of 256 images a step sees two crops.
#
# Version:  byol-pytorch 0.9.1 and vit-pytorch 1.26.14, both the newest, torch 2.14.1 on a CPU, torchvision 0.29.1;
#           Python 3.11 or newer. It installs torch as it is on PyPI: 6 GB of a temporary folder.
# Expected: learner(images) of a batch, as both READMEs have it, makes "the augmentations from the SimCLR paper",
#           which are drawn for each image anew, twice.
# Seen:     64 times one image in a batch are one view and, once more, one view, in each of 40 steps, with all four
#           classes and their defaults; over the steps they are 80. The same augmentation of each image by itself
#           makes as many views as images. Nothing is said.
# Why:      the augmentations are torchvision's, in an nn.Sequential, and are given the batch: torchvision draws once
#           for all of it (its documentation says so of batches). byol-pytorch had kornia's, which draw for each
#           image, until December 2020 (18e7ca8). `augment_fn` replaces them, but for the crops of vit-pytorch. No
#           report of it was found for either.
# For us:   each view of each image has a key of its own (contrastive_jax/augment/; tests/augment/). docs/
#           augmentation.md says what to give them.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
TMPDIR=$work "$work/env/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
  byol-pytorch==0.9.1 vit-pytorch==1.26.14 torch==2.14.1 torchvision==0.29.1 numpy==2.4.6
HOME=$work "$work/env/bin/python" -W ignore - <<'PYTHON'
import torch
from byol_pytorch import BYOL
from torch import nn
from vit_pytorch.dino import Dino
from vit_pytorch.es_vit import EsViTTrainer
from vit_pytorch.lejepa import LeJEPA

torch.set_num_threads(2)
torch.manual_seed(0)
SIZE, BATCH, STEPS = 32, 64, 40


class Net(nn.Module):
  """A small network that keeps the images that it is given."""

  def __init__(self, pooled):
    super().__init__()
    self.conv = nn.Conv2d(3, 16, 3, stride=4)
    self.pool = nn.AdaptiveAvgPool2d(1) if pooled else nn.Identity()
    self.out = nn.Flatten()
    self.seen = []

  def forward(self, x):
    self.seen.append(x.detach().clone())
    return self.out(self.pool(self.conv(x)))


def views(learner, net, images):
  """Returns the views [views, images, 3, size, size] that the student's network is given in one step."""
  net.seen.clear()
  learner(images)
  given = torch.cat(net.seen)[: 2 * len(images)]  # LeJEPA's own network sees the global views after them
  return given.reshape(2, len(images), 3, SIZE, SIZE)


def kinds(view):
  """Returns how many different images there are."""
  return len(torch.unique(view.flatten(1), dim=0))


one = torch.rand(1, 3, 8, 8)
one = nn.functional.interpolate(one, (SIZE, SIZE), mode="bicubic").clamp(0, 1)
alike = one.expand(BATCH, -1, -1, -1).contiguous()
learners = {}
for name, make in (("BYOL", BYOL), ("Dino", Dino), ("EsViT", EsViTTrainer), ("LeJEPA", LeJEPA)):
  net = Net(pooled=name != "EsViT")
  small = {} if name == "BYOL" else {"num_classes_K": 64}
  learners[name] = make(net, image_size=SIZE, hidden_layer="pool", **small), net

for name, (learner, net) in learners.items():
  with torch.no_grad():
    drawn = [views(learner, net, alike) for _ in range(STEPS)]
  found = {kinds(view) for step in drawn for view in step}
  whole = kinds(torch.cat([step.flatten(0, 1) for step in drawn]))
  print(f"{name:7} {BATCH} times one image: different views in a batch {found}; in {STEPS} steps {whole}")
  assert found == {1} and whole > 0.9 * 2 * STEPS

single = learners["BYOL"][0].augment1
apart = torch.cat([single(image[None]) for image in alike])
print("the same augmentation of each image by itself: different views", kinds(apart))
assert kinds(apart) > 0.9 * BATCH
print("as described")
PYTHON
