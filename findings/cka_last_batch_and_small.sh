#!/bin/sh
# Two packages for the CKA of layers: ckatorch looks at the last batch alone, and cka-pytorch gives a layer whose
# features are close to each other a similarity of 0.15, or of 0.005, with itself.
#
# Version:  ckatorch 1.0.3 and cka-pytorch 1.1.3, both the newest, torch 2.14.1 on a CPU, numpy 2.4.6; Python 3.11 or
#           newer. It installs torch as it is on PyPI: 6 GB of a temporary folder.
# Expected: CKA of minibatches, which both name (arXiv 2010.15327, equation 4): HSIC is averaged over all batches, and
#           the quotient is taken of that. It is 1 for a layer with itself, and has no part in the scale of features.
# Seen:     ckatorch, 257 images in batches of 32, of which the last has one: other images in the first eight
#           batches change no number to the last bit, and the matrix is that of the last image alone. Layers that
#           have 0.93 in common over all images have 0.90 to 0.96 by which image comes last.
#           cka-pytorch, 2,048 images, unit vectors with a mean cosine of 0.96, as of a ReLU or of a network that
#           begins to collapse: 0.15 with itself, the layer after it 0.01, the one before it, whose numbers are
#           large, 1.00; so a network seems to fall apart where unit vectors are made. Fewer images give less:
#           0.02 and 0.001 for 256. By NumPy, and with epsilon=0, all three are 1 with themselves and the layers
#           have 0.83 or more in common. Nothing is said.
# Why:      ckatorch/cka.py writes each batch's CKA over that of the one before, and means over epochs.
#           cka_pytorch/cka.py divides by sqrt(HSIC HSIC' + 0.0001), sums over batches, whatever their size.
#           (epsilon is documented as a small number against a division by zero.) pytorch-cka 1.1.3, a third package,
#           adds up and has no such number, by its code. No report of either was found.
# For us:   there is no CKA here. Features that leave us for it: docs/embed.md says what to give.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
TMPDIR=$work "$work/env/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
  ckatorch==1.0.3 cka-pytorch==1.1.3 torch==2.14.1 torchvision==0.29.1 numpy==2.4.6
export HOME="$work" MPLBACKEND=agg
"$work/env/bin/python" -W ignore - 2> "$work/progress" <<'PYTHON' || { tail -n 20 "$work/progress"; exit 1; }
import cka_pytorch
import ckatorch
import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
torch.manual_seed(0)


class Unit(nn.Module):
  def forward(self, x):
    return normalize(x, dim=-1)


class Net(nn.Module):
  """A layer, its unit vectors, and an embedding of these."""

  def __init__(self):
    super().__init__()
    self.h, self.unit, self.z = nn.Linear(32, 128), Unit(), nn.Linear(128, 64)
    with torch.no_grad():
      self.h.bias += 3

  def forward(self, x):
    return self.z(self.unit(self.h(x)))


def hsic(k, m):
  """Returns the unbiased HSIC of two Gram matrices (Song et al. 2012)."""
  n = len(k)
  k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
  sums = k.sum() * m.sum() / ((n - 1) * (n - 2))
  return (np.sum(k * m) + sums - 2 * (k @ m).sum() / (n - 2)) / (n * (n - 3))


def by_hand(layers, size):
  """Returns CKA of all pairs of layers, HSIC summed over batches."""
  layers = [layer.double().numpy() for layer in layers]
  total = np.zeros([len(layers)] * 2)
  for start in range(0, len(layers[0]), size):
    grams = [x[start : start + size] @ x[start : start + size].T for x in layers]
    total += [[hsic(a, b) for b in grams] for a in grams]
  return total / np.sqrt(np.outer(np.diag(total), np.diag(total)))


net = Net().eval()
names = ["h", "unit", "z"]
for images in (256, 2048):
  x = torch.randn(images, 32)
  data = DataLoader(TensorDataset(x, torch.zeros(images)), batch_size=64)
  with torch.no_grad():
    h = net.h(x)
    unit = net.unit(h)
    wanted = by_hand([h, unit, net.z(unit)], 64)
    cka = cka_pytorch.CKACalculator(net, net, names, verbose=False)
    found = cka.calculate_cka_matrix(data, num_epochs=1).numpy()
    cka = cka_pytorch.CKACalculator(net, net, names, verbose=False)
    mended = cka.calculate_cka_matrix(data, num_epochs=1, epsilon=0).numpy()
  cosine = ((unit.sum(0) ** 2).sum() - images) / (images * (images - 1))
  print(f"cka-pytorch, {images} images, mean cosine {cosine:.2f}: with itself", end=" ")
  print({name: f"{value:.3f}" for name, value in zip(names, found.diagonal(), strict=True)})
  print(f"  h and unit {found[0, 1]:.3f}, unit and z {found[1, 2]:.3f}; NumPy", wanted.round(2).tolist())
  assert np.allclose(wanted.diagonal(), 1) and wanted.min() > 0.6
  assert np.allclose(mended, wanted, atol=5e-3)
  assert abs(found[0, 0] - 1) < 0.01 and found[1, 1] < 0.3 and found[2, 2] < 0.05


class Tokens(nn.Module):
  def __init__(self):
    super().__init__()
    self.a = nn.Linear(16, 32)
    self.b, self.c = (nn.TransformerEncoderLayer(32, 2, 64, batch_first=True) for _ in range(2))

  def forward(self, x):
    return self.c(self.b(self.a(x)))


vit, layers = Tokens().eval(), ["a", "b", "c"]
x = torch.randn(257, 16, 16)


def ckatorch_of(x, size):
  """Returns ckatorch's matrix of images [N, tokens, numbers] in their order."""
  cka = ckatorch.CKA(vit, vit, layers=layers, first_name="vit", device="cpu")
  return cka(DataLoader(TensorDataset(x), batch_size=size), epochs=1)


whole, parts = ckatorch_of(x, len(x)), ckatorch_of(x, 32)
others = torch.randn_like(x)
others[-1] = x[-1]
print("ckatorch, a and c:", f"at once {whole[0, 2]:.3f}, in batches of 32 {parts[0, 2]:.3f}")
assert torch.equal(parts, ckatorch_of(others, 32)) and torch.equal(parts, ckatorch_of(x[-1:], 32))
last = [ckatorch_of(torch.roll(x, i, dims=0), 32)[0, 2].item() for i in range(0, 250, 10)]
print(f"  by which image comes last: {min(last):.3f} to {max(last):.3f}")
assert max(last) - min(last) > 0.05
print("as described")
PYTHON
