#!/bin/sh
# stable-pretraining's LeJEPA weighs SIGReg by the number of processes, and each looks at its own images
# alone: what comes from the others is thrown away.
#
# Version:  stable-pretraining 0.1.8, the newest, with torch 2.14.1 on CPUs (gloo; NCCL was not tried),
#           Python 3.11 or newer. It installs torch as it is on PyPI: 8 GB of a temporary folder.
# Expected: the statistic of 512 embeddings on two processes, 256 on each, is that of the 512 on one, as
#           its all-reduce, its factor N * world_size and a note on "DDP ranks" have it.
# Seen:     on two processes it is twice that of each half alone: 2.40 and 2.51 where the batch has 0.96,
#           and they differ. Of standard normal embeddings the statistic does not depend on the batch
#           in the mean (1.05), so with W processes lambda is W times what was asked for. The
#           gradient is that of the half, times two, too. Nothing is said.
# Why:      methods/lejepa.py calls torch.distributed.nn.all_reduce, which returns its answer and leaves
#           its argument as it is, and does not take the answer. (Its Barlow Twins had that fault
#           and is mended; stable-worldmodel's pull request 229 takes this SIGReg for several GPUs.)
# For us:   the mean over the batch is one over all devices (contrastive_jax/methods/lejepa.py); loss and
#           gradients on several devices equal those on one (tests/methods/test_lejepa.py -k devices).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
TMPDIR=$work "$work/env/bin/pip" install --quiet --disable-pip-version-check \
  stable-pretraining==0.1.8 torch==2.14.1 torchvision==0.29.1
cat > "$work/sigreg.py" <<'PYTHON'
import os
import sys

import numpy as np
import torch
import torch.distributed as dist
from stable_pretraining.methods.lejepa import SlicedEppsPulley

IMAGES, SIZE, SLICES = 512, 16, 64


def batch():
  return torch.randn(IMAGES, SIZE, generator=torch.Generator().manual_seed(1))


def statistic(embeddings):
  """Returns SIGReg by its formula in float64, in the directions of their first step."""
  chance = torch.Generator().manual_seed(0)
  directions = torch.randn(SIZE, SLICES, generator=chance).double().numpy()
  directions /= np.linalg.norm(directions, axis=0)
  places = np.linspace(0, 3, 17)
  weights = np.r_[3 / 16, np.full(15, 6 / 16), 3 / 16] * np.exp(-(places**2) / 2)
  angles = (embeddings.double().numpy() @ directions)[..., None] * places
  error = (np.cos(angles).mean(0) - np.exp(-(places**2) / 2)) ** 2 + np.sin(angles).mean(0) ** 2
  return (error @ weights).mean() * len(embeddings)


rank, count = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(1)
if count > 1:
  os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=sys.argv[3])
  dist.init_process_group("gloo", rank=rank, world_size=count)
own = batch().chunk(count)[rank].requires_grad_()
found = SlicedEppsPulley(num_slices=SLICES)(own)
found.backward()
one = own.detach().clone().requires_grad_()
if count > 1:
  dist.destroy_process_group()
SlicedEppsPulley(num_slices=SLICES)(one).backward()
times = (own.grad.norm() / one.grad.norm()).item()
assert torch.allclose(own.grad, one.grad * times, atol=1e-6)
print(
  f"process {rank} of {count}: {found.item():.4f}; by the formula, of its own images "
  f"{statistic(own.detach()):.4f}, of the batch {statistic(batch()):.4f}; "
  f"gradient {times:.3f} times that of its own images\n",
  end="",
)
assert abs(found.item() - count * statistic(own.detach())) < 1e-4
assert abs(times - count) < 1e-3
assert count == 1 or abs(found.item() / statistic(batch()) - 1) > 1
PYTHON
python="$work/env/bin/python -W ignore $work/sigreg.py"
port=$("$work/env/bin/python" -c \
  'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export HOME="$work"
$python 0 1
$python 0 2 "$port" & other=$!
$python 1 2 "$port"
wait $other
echo "as described"
