#!/bin/sh
# pytorch-metric-learning's SmoothAPLoss takes other images than those of a class for its positives, unless
# a batch has as many classes as images of each; its InstanceLoss does so in every batch.
#
# Version:  pytorch-metric-learning 2.9.0, the newest, with torch 2.14.1 on a CPU, Python 3.11 or newer.
#           It installs torch as it is on PyPI: 6 GB of a temporary folder.
# Expected: classes that lie apart, each in a point, have a Smooth-AP of 1, so a loss of 0, whatever their
#           number. Instance loss draws an image to its own class; the order of a batch does not matter.
# Seen:     SmoothAPLoss of such a batch is 0.00 for 4 classes of 4 images, and 0.67 for 2 of 8, 0.32 for 8
#           of 4, 0.63 for 32 of 4; of 8 of 4 drawn at random it is 0.53, where the formula says 0.54, so
#           that a curve looks like training. Trained on 8 classes of 4 images it leaves an mAP of
#           0.53 in the batch itself, where the formula's loss reaches 1.00. InstanceLoss is 57 where
#           classes lie apart, 65 for that batch in another order, and 3.5, log 32, where all images
#           are one point. Nothing is said.
# Why:      smooth_ap.py takes the batch size over the number of classes, which is the number of images of a
#           class, for the number of classes, and cuts the batch into that many groups; its test swaps
#           the two as well (6 classes of 10 beside labels of 10 classes of 6). instance_loss.py
#           takes the number of a class for the place of an image in the batch. No report of either
#           was found (their pull requests 721 and 392 are about Smooth-AP).
# For us:   neither loss is here. Positives of SupCon and triplets are looked up by label; tests/methods/
#           test_supcon.py compares them with a loop over pairs.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
TMPDIR=$work "$work/env/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
  pytorch-metric-learning==2.9.0 torch==2.14.1 scikit-learn==1.9.1
"$work/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import torch
from pytorch_metric_learning.losses import InstanceLoss, SmoothAPLoss
from sklearn.metrics import average_precision_score
from torch import nn
from torch.nn.functional import normalize, one_hot

SIZE, TEMPERATURE = 32, 0.01
torch.set_num_threads(1)
torch.manual_seed(0)
theirs = SmoothAPLoss(temperature=TEMPERATURE)


def formula(embeddings, labels):
  """Returns 1 - Smooth-AP of every image among the others of the batch and itself."""
  z = normalize(embeddings, dim=1)
  cosines = z @ z.T
  later = torch.sigmoid((cosines[:, None, :] - cosines[:, :, None]) / TEMPERATURE)
  later = later * (1 - torch.eye(len(labels)))  # of query, image, image ahead of it
  same = (labels[:, None] == labels).float()
  rank, rank_in_class = 1 + later.sum(-1), 1 + (later * same[:, None, :]).sum(-1)
  return 1 - ((rank_in_class / rank * same).sum(1) / same.sum(1)).mean()


def batch(classes, images):
  labels = torch.arange(classes).repeat_interleave(images)
  return one_hot(labels, SIZE).float(), torch.randn(len(labels), SIZE), labels


def score(embeddings, labels):
  """Returns the mAP over the images of a batch among the others, by scikit-learn."""
  z = normalize(embeddings, dim=1)
  cosines, same = (z @ z.T).numpy(), (labels[:, None] == labels).numpy()
  other = ~np.eye(len(z), dtype=bool)
  pairs = zip(same, cosines, other)
  return np.mean([average_precision_score(s[o], c[o]) for s, c, o in pairs])


found = {}
for classes, images in ((4, 4), (2, 8), (8, 4), (32, 4)):
  apart, chance, labels = batch(classes, images)
  row = [f(z, labels).item() for z in (apart, chance) for f in (theirs, formula)]
  found[classes, images] = row
  print(f"{classes:2} classes of {images}: apart {row[0]:.2f} (formula {row[1]:.2f}), "
        f"by chance {row[2]:.2f} (formula {row[3]:.2f})")
  assert row[1] < 1e-3
assert np.allclose(found[4, 4][::2], found[4, 4][1::2], atol=1e-3), found
assert all(row[0] > 0.2 for key, row in found.items() if key != (4, 4)), found
assert abs(found[8, 4][2] - found[8, 4][3]) < 0.1, found


def trained(loss, labels):
  torch.manual_seed(1)
  images = torch.randn(len(labels), 64)
  network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, SIZE))
  optimizer = torch.optim.Adam(network.parameters(), 1e-3)
  for _ in range(500):
    optimizer.zero_grad()
    loss(network(images), labels).backward()
    optimizer.step()
  return score(network(images).detach(), labels)


apart, _, labels = batch(8, 4)
scores = {name: trained(loss, labels) for name, loss in (("theirs", theirs), ("formula", formula))}
print("mAP of what was trained on 8 classes of 4:", {k: round(float(v), 3) for k, v in scores.items()})
assert scores["theirs"] < 0.8 and scores["formula"] > 0.95, scores

instance, order = InstanceLoss(), torch.randperm(len(labels))
rows = {"classes apart": (apart, labels), "in another order": (apart[order], labels[order])}
rows["all images one"] = torch.ones_like(apart), labels
values = {name: instance(*row).item() for name, row in rows.items()}
print("InstanceLoss:", {name: round(value, 1) for name, value in values.items()})
assert values["classes apart"] > 10 and values["in another order"] > 10, values
assert abs(values["classes apart"] - values["in another order"]) > 5, values
assert abs(values["all images one"] - np.log(len(labels))) < 1e-3, values
print("as described")
PYTHON
