#!/bin/sh
# In stable-pretraining's MoCo v2 the positive of every image is one of its negatives, too, and in its
# NNCLR the nearest neighbour of an image is always the image itself.
#
# Version:  stable-pretraining 0.1.8, the newest, its classes MoCov2 and NNCLR (`methods`), with torch
#           2.14.1 on a CPU, Python 3.11 or newer. It installs torch as it is on PyPI: 8 GB of a
#           temporary folder.
# Expected: MoCo's queue holds the keys of earlier batches, and those of this one join it after the loss
#           (algorithm 1 of the paper); NNCLR's support set, too (its algorithm 1).
# Seen:     the loss is that of a queue with this batch's keys in it, and so cannot fall below log 2: of
#           queries and keys that agree, at a temperature of 0.02, it is 0.693 instead of 0.000. In NNCLR
#           z1 is in the support set before neighbours are looked for: the neighbour of every z1 is
#           that z1, and that of every z2 the z1 of the same image, of a support set of 1,024. No
#           other image is ever a positive, and p1 is drawn to its own z1. Nothing is said.
# Why:      both methods take what queue.append(keys) returns, which is the queue with them in it.
#           (`stable_pretraining.forward.nnclr` leaves the queue to a callback.)
# For us:   memory is updated after the loss, by a function of its own (`update_memory`); tests/methods/
#           test_moco.py and test_nnclr.py compare losses with the papers' and say when keys enter.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
TMPDIR=$work "$work/env/bin/pip" install --quiet --disable-pip-version-check \
  stable-pretraining==0.1.8 torch==2.14.1 torchvision==0.29.1
HOME=$work "$work/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import torch
from loguru import logger
from stable_pretraining.methods import MoCov2, NNCLR, nnclr
from torch import nn

BATCH, TEMPERATURE = 32, 0.02
logger.remove()
torch.manual_seed(0)
torch.set_num_threads(1)


class Encoder(nn.Module):
  """A linear layer over an image made small: of any size, since the methods try one of 224."""

  def __init__(self):
    super().__init__()
    self.layers = nn.Sequential(nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(192, 64))

  def forward(self, images):
    return self.layers(images)


def views(noise):
  images = torch.randn(BATCH, 3, 8, 8)
  return images, images + noise * torch.randn_like(images)


def of_paper(queries, keys, negatives):
  """Returns InfoNCE of the positives and the negatives that are given, in float64."""
  queries, keys, negatives = (x.detach().double().numpy() for x in (queries, keys, negatives))
  positive = (queries * keys).sum(1, keepdims=True)
  logits = np.concatenate([positive, queries @ negatives.T], 1) / TEMPERATURE
  return (np.log(np.exp(logits).sum(1)) - logits[:, 0]).mean()


moco = MoCov2(Encoder(), projector_dims=(64, 32), queue_length=64, temperature=TEMPERATURE).train()
for _ in range(6):
  earlier = moco.queue.get().clone()
  out = moco(*views(0.0))
right = of_paper(out.queries, out.keys, earlier)
both = of_paper(out.queries, out.keys, moco.queue.get())
print(f"MoCo: loss {out.loss:.3f}; negatives of earlier batches {right:.3f}, of the queue after {both:.3f}")
assert abs(out.loss.item() - both) < 1e-4 and right < 0.01 and both > 0.69
assert (out.keys[:, None] == moco.queue.get()[None]).all(-1).any(1).all(), "every key is in the queue"

found, look = [], nnclr._nearest_neighbour


def seen(queries, support):
  answer = look(queries, support)
  found.append((queries.clone(), support.clone(), answer.clone()))
  return answer


nnclr._nearest_neighbour = seen
model = NNCLR(Encoder(), projector_dims=(64, 32), predictor_hidden_dim=64, queue_length=1024).train()
for _ in range(40):
  model(*views(0.3))
(first, support, of_first), (second, _, of_second) = found[-2:]
shares = [(other == first).all(1).double().mean().item() for other in (of_first, of_second)]
print(f"NNCLR, {len(support)} in the support set: the neighbour is z1 of the same image for", end=" ")
print(f"{shares[0]:.0%} of z1 and {shares[1]:.0%} of z2")
assert shares == [1.0, 1.0], shares
print("as described")
PYTHON
