#!/bin/sh
# lightly's MMCR loss has no lower end: longer embeddings are better ones, so a network trained on it as its
# example does grows them until the loss is infinite, and its features shrink to one direction.
#
# Version:  lightly 1.6.0, the newest, with torch 2.14.1 on a CPU, Python 3.11 or newer. It installs
#           torch as it is on PyPI: 6 GB of a temporary folder.
# Expected: MMCRLoss takes the outputs of MMCRProjectionHead, as its docstring and the example of lightly's
#           documentation give them, and is the paper's objective (arXiv 2303.03307): embeddings lie on
#           the unit sphere, so that the nuclear norm of the images' mean embeddings has an upper end, which
#           they reach if the views of an image agree and images use all directions.
# Seen:     loss(10 z) = 10 loss(z). Small networks with lightly's head and a momentum copy, 400 steps: by Adam
#           embeddings of length 47, of an effective rank of 1.8 in 16 dimensions; by SGD at 0.006 of length
#           5e8 and rank 1.2; by SGD at 0.06, the example's rate, no number before step 200, told as a
#           singular value decomposition that fails. Made unit vectors before, they have a rank above 15.9 each
#           time. Until it ends the loss falls as one could wish.
# Why:      loss/mmcr_loss.py normalises nothing; nor do the head and the example (examples/pytorch/mmcr.py), as
#           lightly's NTXentLoss, DCLLoss, TiCoLoss and MACLLoss do. No report of it was found.
# For us:   there is no MMCR here. Methods on the sphere make unit vectors themselves (`l2_normalize` of
#           contrastive_jax/losses/formulas.py), and what collapses tells so while it trains (step/collapse.py).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
TMPDIR=$work "$work/env/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
  lightly==1.6.0 torch==2.14.1 torchvision==0.29.1
"$work/env/bin/python" -W ignore - <<'PYTHON'
import copy

import torch
from lightly.loss import MMCRLoss
from lightly.models.modules import MMCRProjectionHead
from lightly.models.utils import deactivate_requires_grad, update_momentum
from torch import nn, optim
from torch.nn.functional import normalize

IMAGES, VIEWS, SIZE, STEPS = 64, 4, 16, 400
torch.set_num_threads(1)
loss_of = MMCRLoss()


def trained(unit, optimizer, rate):
  """Returns the effective rank, the length of embeddings and the last loss, or the step that failed."""
  torch.manual_seed(1)
  images, noise = torch.randn(IMAGES, 32), 0.5 * torch.randn(VIEWS, IMAGES, 32)
  online = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), MMCRProjectionHead(64, 64, SIZE))
  momentum = copy.deepcopy(online)
  deactivate_requires_grad(momentum)
  steps = optimizer(online.parameters(), rate)
  for step in range(STEPS):
    update_momentum(online, momentum, m=0.99)
    z = torch.stack([online(images + n) for n in noise], dim=1)
    with torch.no_grad():
      other = torch.stack([momentum(images + n) for n in noise], dim=1)
    length = z.norm(dim=-1).mean().item()
    if unit:
      z, other = normalize(z, dim=-1), normalize(other, dim=-1)
    try:
      loss = loss_of(z, other)
    except torch.linalg.LinAlgError as error:
      print("  ", str(error)[:76])
      return step
    steps.zero_grad()
    loss.backward()
    steps.step()
  online.eval()
  with torch.no_grad():
    z = normalize(torch.stack([online(images + n) for n in noise], dim=1).double(), dim=-1)
  mean = normalize(z.mean(1), dim=-1)
  values = torch.linalg.eigvalsh(mean.T @ mean)
  return (values.sum() ** 2 / (values**2).sum()).item(), length, loss.item()


torch.manual_seed(0)
z = torch.randn(2, IMAGES, VIEWS, SIZE)
one, ten = loss_of(*z).item(), loss_of(*(10 * z)).item()
print(f"loss {one:.1f}, of embeddings ten times as long {ten:.1f}")
assert abs(ten / one - 10) < 1e-3

for optimizer, rate in ((optim.Adam, 1e-3), (optim.SGD, 6e-3), (optim.SGD, 6e-2)):
  name = f"{optimizer.__name__} at {rate}"
  rank, _, loss = trained(True, optimizer, rate)
  print(f"{name:13} unit vectors: rank {rank:.2f} of {SIZE}, loss {loss:.1f}")
  assert rank > 15.5 and loss > -33
  found = trained(False, optimizer, rate)
  if rate == 6e-2:
    print(f"{name:13} as they are: fails at step {found}")
    assert isinstance(found, int) and 20 < found < STEPS, found
  else:
    rank, length, loss = found
    print(f"{name:13} as they are: rank {rank:.2f}, length {length:.3g}, loss {loss:.3g}")
    assert rank < 3 and length > 30 and loss < -1000, found
print("as described")
PYTHON
