#!/bin/sh
# lightly's EMP-SSL loss rewards embeddings that are all alike: a network trained on it gives every image
# the same embedding, of rank 1.00, where the paper's loss has rank 15.99 of 16.
#
# Version:  lightly 1.6.0, the newest, with torch 2.14.1 on a CPU, Python 3.11 or newer. It installs
#           torch as it is on PyPI: 6 GB of a temporary folder.
# Expected: EMPSSLLoss is minus the paper's objective (arXiv 2304.03977): the coding rate R, half of
#           the log-determinant of I + d / (b eps) Z'Z, and 200 times the cosines to an image's mean
#           view. R is what keeps the images of a batch apart.
# Seen:     it is R - 200 cosines for -R - 200 cosines: of 64 unit vectors in 16 dimensions -186.4 for
#           -213.6, and of 64 that are one -197.8, the smaller of the two, for -202.2. After 200 steps
#           of Adam any two images have a cosine of 1.000, against 0.046 by the paper's loss. The
#           loss falls all the while; nothing is said.
# Why:      loss/emp_ssl_loss.py adds tcr_loss(), which is R itself. In the paper's repository R is maximised
#           (its issue 6: both terms are negative). No report of it was found.
# For us:   there is no EMP-SSL here. What collapses tells so itself while it trains (contrastive_jax/step/
#           collapse.py), whatever its loss.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
TMPDIR=$work "$work/env/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
  lightly==1.6.0 torch==2.14.1 torchvision==0.29.1
"$work/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import torch
from lightly.loss import EMPSSLLoss
from torch import nn
from torch.nn.functional import cosine_similarity, normalize

VIEWS, IMAGES, SIZE, EPS, WEIGHT = 4, 64, 16, 0.2, 200.0
torch.set_num_threads(1)
lightly = EMPSSLLoss(tcr_eps=EPS, inv_coef=WEIGHT)


def by_hand(views):
  """Returns the coding rate and the mean cosine to an image's mean view, in float64."""
  z = np.stack([view.double().numpy() for view in views])
  inner = np.eye(SIZE) + SIZE / (IMAGES * EPS) * np.swapaxes(z, 1, 2) @ z
  mean = z.mean(0)
  cosines = (z * mean).sum(-1) / np.linalg.norm(z, axis=-1) / np.linalg.norm(mean, axis=-1)
  return np.linalg.slogdet(inner)[1].mean() / 2, cosines.mean()


def paper(views):
  z = torch.stack(views)
  inner = torch.eye(SIZE) + SIZE / (IMAGES * EPS) * z.mT @ z
  return -torch.logdet(inner).mean() / 2 - WEIGHT * cosine_similarity(z, z.mean(0)[None], dim=-1).mean()


def trained(loss):
  """Returns the effective rank of the embeddings and the mean cosine of two images."""
  torch.manual_seed(1)
  images, noise = torch.randn(IMAGES, 32), 0.1 * torch.randn(VIEWS, IMAGES, 32)
  network = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, SIZE))
  optimizer = torch.optim.Adam(network.parameters(), 1e-2)
  for _ in range(200):
    optimizer.zero_grad()
    loss([normalize(network(images + n), dim=1) for n in noise]).backward()
    optimizer.step()
  z = normalize(network(images), dim=1).detach().double().numpy()
  values = np.linalg.eigvalsh(z.T @ z)
  return values.sum() ** 2 / (values**2).sum(), ((z @ z.T).sum() - IMAGES) / (IMAGES**2 - IMAGES)


torch.manual_seed(0)
apart = normalize(torch.randn(IMAGES, SIZE), dim=1)
found = {}
for name, z in (("apart", apart), ("all alike", apart[:1].expand(IMAGES, SIZE))):
  views = [z] * VIEWS
  found[name] = lightly(views).item()
  rate, cosine = by_hand(views)
  print(f"{name:10} lightly {found[name]:8.2f}  paper {-rate - WEIGHT * cosine:8.2f}")
  assert abs(found[name] - (rate - WEIGHT * cosine)) < 1e-2, found
  assert abs(paper(views).item() - (-rate - WEIGHT * cosine)) < 1e-2
assert found["all alike"] < found["apart"] - 10, found

for name, loss in (("lightly", lightly), ("paper", paper)):
  found[name] = trained(loss)
  print(f"trained by the loss of {name:8} rank {found[name][0]:5.2f} of {SIZE}, cosine {found[name][1]:.3f}")
assert found["lightly"][0] < 1.01 and found["lightly"][1] > 0.999, found
assert found["paper"][0] > 15 and found["paper"][1] < 0.1, found
print("as described")
PYTHON
