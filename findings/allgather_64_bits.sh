#!/bin/sh
# JAX's process_allgather and broadcast_one_to_all take 64-bit NumPy arrays and give other numbers back.
#
# Version:  jax 0.10.2, two processes on CPUs (gloo), Python 3.11 or newer.
# Expected: what goes in as NumPy and comes out as NumPy is the same: file sizes, positions in a file,
#           ids of examples, sums in float64; or an error, as for a Python integer of that size.
# Seen:     without jax_enable_x64 int64 comes back as int32 of its lower half (2**31 as -2**31, 2**32
#           + 7 as 7), float64 as float32 (0.1 loses its last digits), without a warning. A size of
#           4 GiB that process 0 tells the others is 0. assert_equal raises for a number above 2**31
#           that is equal on all processes.
# Why:      both go through arrays on devices, which have no 64 bits. That jnp arrays have none is
#           documented; these functions do not say that they are such.
# For us:   64-bit numbers travel as bytes (contrastive_jax/processes/agree.py, `sums`; evaluation/
#           own_rows.py), others as JSON text or as int32 and float32 by name.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
cat > "$work/gather.py" <<'PYTHON'
import sys
import warnings

import jax
import numpy as np
from jax.experimental import multihost_utils as multihost

warnings.simplefilter("error")
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
process = jax.process_index()
sizes = np.array([5, 2**31, 2**32, 2**32 + 7]) + process
gathered = multihost.process_allgather(sizes)
told = multihost.broadcast_one_to_all(sizes)
sums = multihost.process_allgather(np.array([0.1]))
as_bytes = multihost.process_allgather(sizes.view(np.uint8)).view(np.int64)
try:
  multihost.assert_equal(np.array([2**32 + 7]), "position")
  equal = "equal"
except AssertionError:
  equal = "AssertionError"
if process == 0:
  print("given:    ", sizes.dtype, sizes.tolist(), "by process 0, and one more each by process 1")
  print("gathered: ", gathered.dtype, gathered.tolist())
  print("told:     ", told.dtype, told.tolist())
  print("0.1:      ", sums.dtype, float(sums[0, 0]))
  print("assert_equal of 2**32 + 7 on both:", equal)
  print("as bytes: ", as_bytes.dtype, as_bytes.tolist())
assert isinstance(gathered, np.ndarray) and isinstance(told, np.ndarray)
assert gathered.tolist() == [[5, -(2**31), 0, 7], [6, 1 - 2**31, 1, 8]], gathered
assert told.tolist() == [5, -(2**31), 0, 7], told
assert sums.tolist() == [[float(np.float32(0.1))]] * 2, sums
assert equal == "AssertionError"
assert as_bytes.tolist() == [[5, 2**31, 2**32, 2**32 + 7], [6, 2**31 + 1, 2**32 + 1, 2**32 + 8]]
PYTHON
address=$("$work/env/bin/python" -c 'import socket
with socket.socket() as free:
  free.bind(("127.0.0.1", 0))
  print("127.0.0.1:%d" % free.getsockname()[1])')
JAX_PLATFORMS=cpu "$work/env/bin/python" "$work/gather.py" "$address" 1 2> "$work/other" &
JAX_PLATFORMS=cpu "$work/env/bin/python" "$work/gather.py" "$address" 0
wait $! || { cat "$work/other" >&2; exit 1; }
echo "as described"
