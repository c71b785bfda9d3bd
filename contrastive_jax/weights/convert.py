"""A file that may hold programs becomes one of arrays, in a process that can do nothing else.

Pickles, which .pth, .ckpt and .pkl are, can name any function of Python to be called. So the file
is read in a child (`convert_child`) that gives up the network, other programs and the writing of
files before it looks at it, and takes tensors, numbers, texts and containers alone. What it makes
is read back here like any file of weights, and gets its name only then.
"""

import json
import logging
import os
import pathlib
import subprocess
import sys
import tempfile

from contrastive_jax import errors, places, plural, reading
from contrastive_jax.weights import safetensors_file

_LONGEST_S = 3600
_SAID = 400  # letters of what the child says
ENDINGS = (".pth", ".pt", ".ckpt", ".pkl", ".pickle", ".tar", ".bin", ".dat")


def run(file: str, out: str | None = None) -> pathlib.Path:
  """Converts a file; returns the one that was written.

  Args:
    file: of PyTorch (weights, checkpoints of Lightning) or a pickle of NumPy's arrays.
    out: the file to write; None: its name with .safetensors.

  Raises:
    UserError: it is damaged, holds more than weights, or cannot be read here.
    SaveFailed: what was found could not be written.
  """
  source = pathlib.Path(file)
  if not os.path.lexists(source):
    raise errors.UserError(f"{file} is not there; give a file ending in {', '.join(ENDINGS)}")
  if what := reading.no_regular_file(source):
    raise errors.UserError(f"{file} is {what}, no file of weights")
  if source.suffix in (".safetensors", ".npz"):
    raise errors.UserError(f"{file} needs no conversion: --config.init.path={file}")
  target = pathlib.Path(out) if out else source.with_suffix(".safetensors")
  if target.suffix != ".safetensors":
    raise errors.UserError(f"--out={target} does not end in .safetensors")
  if target.exists():
    raise errors.UserError(f"{target} is there already; give another --out")
  places.ready(target.absolute().parent, "the weights", "give another --out")
  with tempfile.TemporaryFile(dir=target.absolute().parent) as made:
    said = _child(source, made.fileno())
    made.seek(0)
    content = made.read()
  arrays, _ = safetensors_file.parsed(content, str(target))
  places.write(target, content)
  left = f"; left out: {', '.join(said['left'])}" if said["left"] else ""
  log = logging.getLogger(__name__)
  log.info("%s: %s in %s%s", file, plural.of(len(arrays), "array"), target, left)
  if not said["sums"]:
    log.warning(
      "warning: %s was written without checksums, so a damaged array would not be seen", file
    )
  return target


def _child(source: pathlib.Path, descriptor: int) -> dict:
  """Has the child write what is in a file to `descriptor`; returns what it says."""
  here = [path or os.getcwd() for path in sys.path]
  environment = {
    "PATH": os.environ.get("PATH", ""),
    "PYTHONPATH": os.pathsep.join(here),
    "PYTHONDONTWRITEBYTECODE": "1",
    "CUDA_VISIBLE_DEVICES": "",
  }
  command = [sys.executable, "-m", "contrastive_jax.weights.convert_child"]
  with source.open("rb") as file:
    try:
      done = subprocess.run(
        [*command, str(file.fileno()), str(descriptor)],
        pass_fds=(file.fileno(), descriptor),
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_LONGEST_S,
      )
    except subprocess.TimeoutExpired:
      raise errors.UserError(f"{source} was not read within {_LONGEST_S} s; get it again") from None
  try:
    said = json.loads(done.stdout.decode().splitlines()[-1])
  except (ValueError, IndexError):
    said = {"error": f"reading it ended with code {done.returncode}"}
  if "error" in said:
    raise errors.UserError(f"{source}: {' '.join(str(said['error']).split())[:_SAID]}")
  return said
