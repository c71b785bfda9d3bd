#!/bin/sh
# Told never to map a block by itself and to give nothing back, glibc maps the memory of each step of a JAX
# program on a CPU anew, and gives it back after it: only one arena for all threads keeps it.
#
# Version:  glibc 2.36, jax 0.10.2, Python 3.11 or newer, Linux on x86-64.
# Expected: M_MMAP_MAX (MALLOC_MMAP_MAX_) at 0 "disables the use of mmap" for large blocks, says mallopt(3), and a
#           high M_TRIM_THRESHOLD keeps what is freed. A step after the first then makes no new page.
# Seen:     a contrastive loss of 5,000 embeddings and its gradient, with blocks of 100 MB: 49,530 pages a step by
#           default, 49,618 with the two settings, 1 with MALLOC_ARENA_MAX=1 beside them. Pages made anew are a
#           sixth to a quarter of a step's CPU time, and nothing tells where it goes.
# Why:      XLA's threads have arenas of their own, whose heaps end at 64 MiB. What does not fit into one is mapped
#           without a look at M_MMAP_MAX (sysmalloc in malloc/malloc.c), and unmapped when it is freed.
#           The first arena alone can grow as far as it has to.
# For us:   the commands have the first thread run a CPU's programs, whose arena keeps what is freed
#           (contrastive_jax/cli/heap.py, tests/cli/test_heap.py). One arena for all threads is slower in starts
#           and small steps (docs/results/speed.md).
set -eu
[ "$(uname -s)" = Linux ] || { echo "only for Linux with glibc"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
export HOME="$work" JAX_PLATFORMS=cpu
cat > "$work/pages.py" <<'PYTHON'
import resource

import jax
import jax.numpy as jnp


def loss(z):
  z = z / jnp.linalg.norm(z, axis=1, keepdims=True)
  logits = z @ z.T / 0.1 - 1e9 * jnp.eye(len(z))
  positive = jnp.roll(jnp.arange(len(z)), len(z) // 2)
  return jnp.mean(jax.nn.logsumexp(logits, axis=1) - logits[jnp.arange(len(z)), positive])


step = jax.jit(lambda z: z - 0.1 * jax.grad(loss)(z))
z = jax.random.normal(jax.random.key(0), (5000, 64))
made = []
for _ in range(12):
  before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
  z = jax.block_until_ready(step(z))
  made.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(sorted(made[2:])[5])
PYTHON
keep="MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_TOP_PAD_=268435456"
default=$("$work/env/bin/python" "$work/pages.py")
kept=$(env $keep "$work/env/bin/python" "$work/pages.py")
one=$(env $keep MALLOC_ARENA_MAX=1 "$work/env/bin/python" "$work/pages.py")
echo "pages made in a step: by default $default, kept $kept, kept in one arena $one"
[ "$default" -gt 10000 ] && [ "$kept" -gt 10000 ] && [ "$one" -lt 1000 ] || { echo "this has changed"; exit 1; }
echo "as described"
