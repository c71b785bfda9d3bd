#!/bin/sh
# Flax's BatchNorm with a mask weighs devices alike, however few of their images count: of a padded batch it
# has wrong statistics, and NaN on all devices as soon as one has nothing but padding.
#
# Version:  flax 0.12.8, linen and nnx alike, jax 0.10.2, the newest that Python 3.11 can have; 8 devices of a
#           CPU.
# Expected: with `mask`, "the positions for which the mean and variance should be computed", and axis_name,
#           which combines the statistics of devices, those of all positions that count, as without axis_name
#           the same program on the same sharded batch gives them.
# Seen:     30 images and 2 of padding on 8 devices, 4 on each: a mean of 1.768 for 1.649, and the last two
#           images weigh as much as four others; with use_fast_variance=False as well. 28 and 4 of padding:
#           the mean, the variance and every output are NaN, on all devices, and the running statistics are
#           from then on. Under jit without axis_name both are right. Nothing is said.
# Why:      each device takes the mean over what counts on it, 0/0 where nothing does, and pmean over devices
#           knows no weights (flax/linen/normalization.py, _compute_stats). (That batches of several sizes are
#           averaged so is known: issue 2417 of google/flax, closed since arrays of a program have one shape.
#           A mask has no such limit.)
# For us:   Flax's is not used. Batch norm takes no mask, its statistics are those of the whole batch in one
#           program (contrastive_jax/models/norm.py).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  flax==0.12.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
export HOME="$work" JAX_PLATFORMS=cpu XLA_FLAGS=--xla_force_host_platform_device_count=8
"$work/env/bin/python" -W ignore - <<'PYTHON'
import functools

import flax.linen as nn
import jax
import numpy as np
from flax import nnx
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

IMAGES, CHANNELS, AXIS = 32, 5, "device"
mesh = jax.make_mesh((8,), (AXIS,), axis_types=(AxisType.Auto,))
drift = np.arange(IMAGES)[:, None] / 8
batch = (np.random.default_rng(0).normal(size=(IMAGES, CHANNELS)) + drift).astype(np.float32)
variables = nn.BatchNorm(use_running_average=False).init(jax.random.key(0), batch)


def of_linen(axis_name, fast, x, mask):
  norm = nn.BatchNorm(False, momentum=0.0, axis_name=axis_name, use_fast_variance=fast)
  y, changed = norm.apply(variables, x, mask=mask, mutable=["batch_stats"])
  return changed["batch_stats"]["mean"], changed["batch_stats"]["var"], y


def of_nnx(axis_name, fast, x, mask):
  norm = nnx.BatchNorm(
    CHANNELS, momentum=0.0, axis_name=axis_name, use_fast_variance=fast, rngs=nnx.Rngs(0)
  )
  y = norm(x, use_running_average=False, mask=mask)
  return norm.mean[...], norm.var[...], y


def normed(count, layer, axis_name, fast):
  """Returns the running mean and variance and the outputs of a batch of `count` images and padding."""
  rows = NamedSharding(mesh, P(AXIS))
  mask = np.arange(IMAGES)[:, None] < count
  step = functools.partial(layer, axis_name, fast)
  if axis_name:
    out = (P(), P(), P(AXIS))
    step = jax.shard_map(step, mesh=mesh, in_specs=P(AXIS), out_specs=out, check_vma=False)
  return [np.asarray(x) for x in jax.jit(step)(*jax.device_put((batch, mask), rows))]


for count in (32, 30, 28):
  right = batch[:count].mean(0), batch[:count].var(0)
  by_device = np.split(batch[:count], range(4, count, 4))
  print(f"{count} images, {IMAGES - count} of padding: right mean {right[0][0]:.3f}")
  for layer in (of_linen, of_nnx):
    for fast in (True, False):
      mean, var, _ = normed(count, layer, None, fast)
      assert np.allclose((mean, var), right, atol=1e-4), (mean, var)
      mean, var, y = normed(count, layer, AXIS, fast)
      print(f"  {layer.__name__:8} fast {fast!s:5} mean {mean[0]:.3f} variance {var[0]:.3f}")
      if count == IMAGES:
        assert np.allclose((mean, var), right, atol=1e-4), (mean, var)
      elif len(by_device) == mesh.size:
        assert np.allclose(mean, np.mean([x.mean(0) for x in by_device], 0), atol=1e-4), mean
        assert np.abs(mean - right[0]).min() > 0.03, mean
      else:
        assert np.isnan(mean).all() and np.isnan(var).all() and np.isnan(y).all()
print("as described")
PYTHON
