#!/bin/sh
# lightly's CO2 regulariser is a constant to the optimiser: it has the right value and no gradient, so a
# network trained with it is the one trained without it.
#
# Version:  lightly 1.6.0, the newest, with torch 2.14.1 on a CPU, Python 3.11 or newer. It installs
#           torch as it is on PyPI: 6 GB of a temporary folder.
# Expected: loss_fn(out0, out1) + co2(out0, out1), as its docstring has it, trains on both terms, more on the
#           second with a larger alpha.
# Seen:     the value is that of the formula, 8.49 at alpha 1, and moves with the embeddings, so that
#           its curve looks alive; the gradient of the sum is that of the first term to the last bit for an
#           alpha of 1 and of 1,000, where the formula's own has a norm of 1.73 (the first term's:
#           0.09). Alone, backward() raises. All that is said is torch's warning, once, that a
#           copy is better made by clone().detach().
# Why:      its forward ends in torch.tensor(...) of the result, which copies a number out of the graph,
#           since pull request 1766 of lightly-ai/lightly typed the module (December 2024). No
#           report of it was found.
# For us:   there is no CO2 here; every method's gradient is asked to reach its network (tests/methods/
#           test_methods.py).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
TMPDIR=$work "$work/env/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
  lightly==1.6.0 torch==2.14.1 torchvision==0.29.1
"$work/env/bin/python" -W ignore - <<'PYTHON'
import torch
from lightly.loss import NTXentLoss
from lightly.loss.regularizer import CO2Regularizer
from torch.nn.functional import kl_div, log_softmax, normalize

IMAGES, SIZE, TEMPERATURE = 32, 16, 0.05
torch.set_num_threads(1)
torch.manual_seed(0)
queries, keys = torch.randn(2, IMAGES, SIZE)


def formula(a, b):
  """Returns half the symmetric divergence of the similarities of a to b and of b to a."""
  scores = normalize(a, dim=1) @ normalize(b, dim=1).T / TEMPERATURE
  others = ~torch.eye(IMAGES, dtype=torch.bool)

  def logs(scores):
    rest = scores[others].view(IMAGES, IMAGES - 1)
    return log_softmax(torch.cat([scores.diagonal()[:, None], rest], 1), dim=1)

  p, q = logs(scores), logs(scores.T)
  return sum(kl_div(x, y, reduction="batchmean", log_target=True) for x, y in ((p, q), (q, p))) / 2


def gradient(loss):
  leaf = queries.clone().requires_grad_()
  loss(leaf).backward()
  return leaf.grad


co2 = CO2Regularizer(alpha=1.0)
values = co2(queries, keys).item(), formula(queries, keys).item()
print(f"value: lightly {values[0]:.4f}, formula {values[1]:.4f}")
assert abs(values[0] - values[1]) < 1e-4 * values[1], values

contrast = NTXentLoss()
alone = gradient(lambda z: contrast(z, keys))
wanted = gradient(lambda z: formula(z, keys))
print(f"norm of the gradient: NT-Xent {alone.norm():.2f}, CO2 by its formula {wanted.norm():.2f}")
for alpha in (1.0, 1000.0):
  regulariser = CO2Regularizer(alpha=alpha)
  both = gradient(lambda z: contrast(z, keys) + regulariser(z, keys))
  print(f"alpha {alpha:6.0f}: the sum's gradient is NT-Xent's: {torch.equal(both, alone)}")
  assert torch.equal(both, alone)
assert wanted.norm() > 10 * alone.norm()
try:
  gradient(lambda z: co2(z, keys))
except RuntimeError as error:
  print("alone:", error)
else:
  raise AssertionError("a gradient")
print("as described")
PYTHON
