#!/bin/sh
# Weights that JAX draws in bfloat16 are one of 128 numbers and lean to the negative side: of 2,048 inputs
# after a ReLU every unit's output is shifted by half of its spread.
#
# Version:  jax 0.10.2 and flax 0.12.8 on a CPU, Python 3.11 or newer.
# Expected: nn.Dense(param_dtype=jnp.bfloat16) and the initialisers in bfloat16 draw what float32 draws,
#           rounded to bfloat16: thousands of numbers whose mean is 0.
# Seen:     lecun_normal, he_normal, truncated_normal, normal and xavier_uniform have 128 values and a
#           mean of -0.011 to -0.018 standard deviations, with any seed; the largest number that
#           normal() can draw is 2.5. A layer of 2,048 non-negative inputs adds that up: the mean of
#           its outputs lies half the spread that they have over images below 0 (in float32 within a
#           twentieth of it), and after four layers with he_normal 35 % of the units are active, not
#           50 %. bernoulli(key, p) draws 0.8 % ones for p = 0.001 if p is bfloat16, and none but ones
#           for 0.996. float16 leans as well: normal() by -0.002.
# Why:      uniform() fills the 7 bits of the fraction with random bits: multiples of 1/128, whose mean is
#           1/256 too low; normal() and the others are functions of it. (That categorical() of bfloat16
#           logits is coarse is known: issue 30879 of jax-ml/jax.)
# For us:   weights are float32 whatever `model.dtype` computes in, and so are the draws of augmentations
#           (tests/models/test_heads.py, test_vit.py).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  jax==0.10.2 jaxlib==0.10.2 flax==0.12.8 numpy==2.4.6
JAX_PLATFORMS=cpu "$work/env/bin/python" - <<'PYTHON'
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

WIDTH, SEEDS = 2048, 4
f32, bf16 = jnp.float32, jnp.bfloat16


def drawn(name, kind, seed):
  init = getattr(jax.nn.initializers, name)()
  return np.asarray(init(jax.random.key(seed), (WIDTH, WIDTH), kind), np.float64)


for name in ("lecun_normal", "he_normal", "truncated_normal", "normal", "xavier_uniform"):
  means = {
    kind: [(w := drawn(name, kind, seed)).mean() / w.std() for seed in range(SEEDS)]
    for kind in (f32, bf16)
  }
  rounded = np.asarray(jnp.asarray(drawn(name, f32, 0), bf16), np.float64)
  values = len(np.unique(drawn(name, bf16, 0)))
  print(f"{name:16} {values} values (float32, rounded: {len(np.unique(rounded))}); mean/std ", end="")
  print(f"{min(means[bf16]):.4f} to {max(means[bf16]):.4f}, float32 ", end="")
  print(f"{min(means[f32]):.4f} to {max(means[f32]):.4f}")
  assert values == 128 and len(np.unique(rounded)) > 2000
  assert max(means[bf16]) < -0.010 and max(map(abs, means[f32])) < 0.002
  assert abs(rounded.mean() / rounded.std()) < 0.002
largest = float(jax.random.normal(jax.random.key(0), (10**6,), bf16).max())
print("the largest of a million from normal():", largest)
assert largest < 2.6

inputs = jax.nn.relu(jax.random.normal(jax.random.key(9), (256, WIDTH)))
shift = {}
for kind in (f32, bf16):
  layer = nn.Dense(1024, use_bias=False, param_dtype=kind)
  kernels = [layer.init(jax.random.key(s), inputs)["params"]["kernel"] for s in range(SEEDS)]
  outputs = [np.asarray(inputs, np.float64) @ np.asarray(kernel, np.float64) for kernel in kernels]
  shift[kind] = [out.mean() / out.std(axis=0).mean() for out in outputs]
  print(f"Dense, {kind.__name__}: mean output over spread of images", [round(float(s), 2) for s in shift[kind]])
assert max(shift[bf16]) < -0.4 and max(map(abs, shift[f32])) < 0.1, shift

active = {}
for kind in (f32, bf16):
  hidden = np.asarray(inputs, np.float64)
  for depth in range(4):
    hidden = np.maximum(hidden @ drawn("he_normal", kind, depth), 0)
  active[kind] = (hidden > 0).mean()
print("active after four layers:", {kind.__name__: round(float(share), 3) for kind, share in active.items()})
assert active[bf16] < 0.4 and 0.47 < active[f32] < 0.53, active

ones = {p: jax.random.bernoulli(jax.random.key(0), bf16(p), (10**6,)).mean() for p in (0.001, 0.996)}
print("ones of bernoulli(p in bfloat16):", {p: float(share) for p, share in ones.items()})
assert 0.007 < ones[0.001] < 0.009 and ones[0.996] == 1, ones
half = np.asarray(jax.random.normal(jax.random.key(0), (10**7,), jnp.float16), np.float64)
print(f"float16: mean over deviation {half.mean() / half.std():.4f}")
assert -0.003 < half.mean() / half.std() < -0.001
print("as described")
PYTHON
