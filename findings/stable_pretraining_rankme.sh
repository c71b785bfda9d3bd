#!/bin/sh
# stable-pretraining's RankMe is above the number of dimensions, the more so the more there are: 2,048
# directions that are used alike have a rank of 2,345.
#
# Version:  stable-pretraining 0.1.8, the newest, its callback RankMe, beside `rankme` of its JAX side
#           (jax 0.10.2), with torch 2.14.1 on a CPU, Python 3.11 or newer. It installs torch as it is on
#           PyPI: 8 GB of a temporary folder.
# Expected: between 1 and the smaller side of the matrix of embeddings, to the paper's constant of 1e-7, and
#           the same on both sides.
# Seen:     512 and 2,048 directions that are used alike are 526 and 2,345; its JAX side says 512.1 of the
#           first. All in one direction are 1.06 at 512 dimensions, and a spectrum that falls as 1 / k
#           is 1.03 times as much as without a constant. So widths of an embedding cannot be compared
#           by it.
# Why:      1e-5 is added to each share of the singular values' sum, where the paper has 1e-7: a share of 0
#           adds 1.2e-4 to the entropy, and there are as many as dimensions.
# For us:   the rank of z is (sum of eigenvalues)^2 / sum of their squares, without a constant
#           (contrastive_jax/step/collapse.py).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
TMPDIR=$work "$work/env/bin/pip" install --quiet --disable-pip-version-check \
  stable-pretraining==0.1.8 torch==2.14.1 torchvision==0.29.1 jax==0.10.2 jaxlib==0.10.2 \
  flax==0.12.8 optax==0.2.8
HOME=$work JAX_PLATFORMS=cpu "$work/env/bin/python" -W ignore - <<'PYTHON'
import types

import numpy as np
import torch
from loguru import logger
from stable_pretraining.callbacks import RankMe
from stable_pretraining.jax.callbacks.rankme import rankme as of_jax

logger.remove()
torch.set_num_threads(2)


def of_callback(embeddings):
  """Returns what the callback logs for a queue that holds the embeddings."""
  count, size = embeddings.shape
  callback, logged = RankMe("rankme", "embedding", count, size), {}
  callback._target_queue = types.SimpleNamespace(data=torch.tensor(embeddings, dtype=torch.float32))
  trainer = types.SimpleNamespace(global_rank=0)
  module = types.SimpleNamespace(log=logged.__setitem__)
  callback.on_validation_batch_end(trainer, module, {}, {}, 0)
  return logged["rankme"]


def effective(embeddings):
  """Returns exp of the entropy of the singular values' shares, in float64, without a constant."""
  values = np.linalg.svd(embeddings, compute_uv=False)
  shares = values / values.sum()
  shares = shares[shares > 1e-12]
  return np.exp(-(shares * np.log(shares)).sum())


size, chance = 512, np.random.default_rng(0)
alike, right = (np.linalg.qr(chance.normal(size=(size, size)))[0] for _ in range(2))
one = np.outer(chance.normal(size=size), chance.normal(size=size))
one += 1e-6 * chance.normal(size=one.shape)
falls = alike * (1 / np.arange(1, size + 1)) @ right
found = {}
for name, embeddings in {"alike": alike, "one direction": one, "1 / k": falls}.items():
  jax_side = of_jax(embeddings.astype(np.float32))
  found[name] = torch_side, truth = of_callback(embeddings), effective(embeddings)
  print(f"512 {name:13} callback {torch_side:7.2f}, right {truth:7.2f}, JAX side {jax_side:7.2f}")
  assert abs(jax_side / truth - 1) < 0.01
wide = of_callback(np.eye(2048))
print(f"2,048 alike: callback {wide:.2f}")
assert 520 < found["alike"][0] < 530 and 2300 < wide < 2400, wide
assert 1.05 < found["one direction"][0] < 1.07
assert found["1 / k"][0] > 1.02 * found["1 / k"][1]
print("as described")
PYTHON
