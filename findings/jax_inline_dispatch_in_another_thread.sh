#!/bin/sh
# With jax_cpu_enable_async_dispatch off, JAX still runs a program in a thread of its own, and returns before it is
# computed, if one of its inputs has just been put: as the batch of every training step is.
#
# Version:  jax 0.10.2 (and 0.11.0, on Python 3.12), numpy 2.4.6, Python 3.11 or newer, Linux on x86-64.
# Expected: "dispatch CPU computations inline without async dispatch", as the option's help has it: the thread that
#           calls a program computes it, whatever its inputs are, and what the call returns is ready.
# Seen:     of an array that was waited for, so: the result is ready, and half of the CPU time (of two cores) or all
#           of it is the caller's. Of the same array put anew by device_put: the result is not ready, and the
#           caller's share is below 1 %.
# Why:      device_put copies in the background. A program whose inputs are not there yet is left to a thread
#           of XLA's, whether or not the option is set. From 0.11.2 on the copy is complete when device_put returns.
# For us:   the memory of a step is kept in the first thread's arena alone (glibc_mmap_max_in_threads.sh), so each
#           step of a training run had 23,000 pages made anew where a loop over one batch had none. The batch is
#           now waited for before the step is called (contrastive_jax/parallel.py, tests/test_parallel.py).
set -eu
[ "$(uname -s)" = Linux ] || { echo "only for Linux"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME="$work" JAX_PLATFORMS=cpu
cat > "$work/dispatch.py" <<'PYTHON'
import time

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_cpu_enable_async_dispatch", False)
program = jax.jit(lambda x: jnp.sin(x @ x.T).sum())
# Not at a multiple of 64 bytes, or device_put would share the memory in place of copying it.
x = np.empty(3000 * 3000 + 32, np.float32)
first = (-x.ctypes.data % 64 + 4) // 4
x = x[first : first + 3000 * 3000].reshape(3000, 3000)
x[:] = np.random.default_rng(0).normal(size=x.shape)


def call(wait):
  array = jax.device_put(x)
  if wait:
    jax.block_until_ready(array)
  own, all_threads = time.thread_time(), time.process_time()
  result = program(array)
  ready, own = result.is_ready(), time.thread_time() - own
  jax.block_until_ready(result)
  return ready, own / (time.process_time() - all_threads) > 0.2


for wait in (True, False):
  call(wait)  # compiles
  print(*call(wait), end=" ")
PYTHON
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
found=$("$work/env/bin/python" "$work/dispatch.py")
echo "ready when the call returns, computed by the caller: of an array waited for and one just put: $found"
[ "$found" = "True True False False " ] || { echo "this has changed"; exit 1; }
echo "as described"
