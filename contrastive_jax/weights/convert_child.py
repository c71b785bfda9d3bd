"""The process that reads a file that may hold programs: `python -m ... IN OUT`, both descriptors.

It imports what it needs, then gives up whatever a program would want, then looks at the file.
PyTorch's files are read by `torch.load(weights_only=True)`, pickles of NumPy by an unpickler that
knows arrays and nothing else. Says one line of JSON: {"left": [...], "sums": whether there were
checksums} or {"error": "..."}.
"""

import ctypes
import importlib
import json
import os
import re
import resource
import sys
import types
import zipfile
from typing import Any, BinaryIO

import numpy as np

from contrastive_jax import numpy_pickle
from contrastive_jax.weights import safetensors_file

_TORCHS_NUMBER = 0x1950A86A20F9469CFC6C  # with which its files of before 1.6 begin
_OF_TRAINING = ("optimizer", "optimizer_states", "opt_state", "lr_schedulers", "loops", "callbacks")
_NEW_NETWORK = 0x40000000 | 0x10000000  # CLONE_NEWNET, CLONE_NEWUSER
_REFUSED = (
  *("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn"),
  *("os.startfile", "pty.", "ctypes.dlopen", "os.remove", "os.rename", "os.rmdir", "os.mkdir"),
  *(
    "os.chmod",
    "os.chown",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.kill",
    "shutil.",
    "ftplib.",
  ),
  *("urllib.", "smtplib.", "http.", "tempfile.", "os.putenv", "os.unsetenv", "signal.pthread_kill"),
)
# Classes of settings in checkpoints: an inert object stands for each, and is left out.
_SETTINGS = (
  *("argparse.Namespace", "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib._local.PosixPath"),
  "pytorch_lightning.utilities.parsing.AttributeDict",
  "lightning_fabric.utilities.data.AttributeDict",
)


class Inert(dict):
  """Stands for an object of settings: it takes everything and does nothing."""

  def __new__(cls, *_, **__):
    return super().__new__(cls)

  def __init__(self, *_, **__):
    super().__init__()

  def __setstate__(self, _):
    pass


class NoWeights(ValueError):
  """What a file holds is no weights; the message says what to do."""


def shut() -> None:
  """Gives up the network, other programs and files, for the rest of this process."""
  resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
  if sys.platform == "linux":  # where it is not allowed, the hook below is what is left
    ctypes.CDLL(None, use_errno=True).unshare(_NEW_NETWORK)
  sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple) -> None:
  writes = event == "open" and _writes(*arguments)
  if writes or event.startswith(_REFUSED):
    raise PermissionError(f"the file asks for {event}, which weights do not need")


def _writes(path: Any, mode: str | None, flags: int) -> bool:
  if isinstance(path, int):  # a descriptor that is open already
    return False
  given = isinstance(mode, str) and any(letter in mode for letter in "wax+")
  return given or bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def read(file: BinaryIO) -> Any:
  """Returns what a file holds: containers, numbers, arrays and tensors."""
  if not file.read(1):
    raise NoWeights("it is empty; get it again")
  if not _is_zip(file):
    found = numpy_pickle.load(file)
    if found != _TORCHS_NUMBER if isinstance(found, int) else True:
      return found
  else:
    _check_sums(file)
  file.seek(0)
  torch = _torch()
  if torch is None:
    raise NoWeights(
      "PyTorch reads it, and is not installed; pip install 'contrastive_jax[convert]'"
    )
  return torch.load(file, map_location="cpu", weights_only=True)


def _is_zip(file: BinaryIO) -> bool:
  file.seek(0)
  start = file.read(4)
  file.seek(0)
  return start == b"PK\x03\x04"


def _check_sums(file: BinaryIO) -> None:
  """Raises `NoWeights` where an entry of a zip is not what was written: PyTorch does not look."""
  with zipfile.ZipFile(file) as archive:
    if _have_sums(archive) and (damaged := archive.testzip()):
      raise NoWeights(f"{damaged} in it is not what its checksum is of; get it again")


def _have_sums(archive: zipfile.ZipFile) -> bool:
  """Returns False where PyTorch was told to write none (`set_crc32_options`): all are 0 then."""
  return any(entry.CRC for entry in archive.infolist())


def _has_sums(file: BinaryIO) -> bool:
  """Returns False for a zip without checksums; other files never had any."""
  if not _is_zip(file):
    return True
  with zipfile.ZipFile(file) as archive:
    return _have_sums(archive)


def _torch() -> types.ModuleType | None:
  try:
    return importlib.import_module("torch")
  except ImportError:
    return None


def flat(found: Any, join: str) -> tuple[dict[str, np.ndarray], set[str]]:
  """Returns the arrays of nested containers by their path, and the parts that were left out."""
  arrays, left, stack = {}, set(), [("", found, 0)]
  while stack:
    path, value, depth = stack.pop()
    items = (
      value.items() if isinstance(value, dict) else enumerate(value) if _lists(value) else None
    )
    if items is not None and depth < 32:
      for key, inner in items:
        if str(key) in _OF_TRAINING:
          left.add(str(key))
        else:
          stack.append((f"{path}{join if path else ''}{key}", inner, depth + 1))
    elif (array := _array(value)) is not None:
      arrays[path] = array
    elif isinstance(value, Inert):
      left.add(path)
  return arrays, left


def _lists(value: Any) -> bool:
  return isinstance(value, list | tuple)


def _array(value: Any) -> np.ndarray | None:
  """Returns an array of NumPy, of a kind that a file of weights can hold; None for all else."""
  if isinstance(value, np.ndarray):
    return np.asarray(value) if value.dtype in safetensors_file.NAMES else None
  torch = sys.modules.get("torch")
  if torch is None or not isinstance(value, torch.Tensor):
    return None
  value = value.detach().cpu()
  if value.layout != torch.strided or value.is_quantized or value.is_complex():
    raise NoWeights("it holds a tensor that is sparse, quantised or complex; save it as plain one")
  if value.dtype == torch.bfloat16:
    import ml_dtypes

    return value.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
  return value.contiguous().numpy()


def _said(error: BaseException) -> str:
  """Returns one line on what was wrong."""
  text = " ".join(str(error).split())
  if isinstance(error, NoWeights):
    return text
  if match := re.search(r"GLOBAL ([\w.]+\w)", text):  # PyTorch's words, and those of numpy_pickle
    return (
      f"it holds {match[1]}, which is no weights; whoever has made it and can be trusted may save "
      "its state_dict alone"
    )
  return f"it cannot be read as weights ({type(error).__name__}: {text[:200]}); get it again"


def main() -> None:
  torch = _torch()
  if torch is not None:
    torch.serialization.add_safe_globals([(Inert, name) for name in _SETTINGS])
  with os.fdopen(int(sys.argv[1]), "rb") as file, os.fdopen(int(sys.argv[2]), "wb") as out:
    shut()
    try:
      found = read(file)
      arrays, left = flat(found, "/" if _is_haikus(found) else ".")
      if not arrays:
        raise NoWeights("there are no arrays in it; give a file of weights")
      out.write(safetensors_file.content(arrays, {}))
      result = {"left": sorted(left)[:8], "sums": _has_sums(file)}
    except (Exception, RecursionError) as error:
      result = {"error": _said(error)}
  print(json.dumps(result), flush=True)
  os._exit(0)  # nothing that the file has left behind runs at an exit


def _is_haikus(found: Any) -> bool:
  return isinstance(found, dict) and "experiment_state" in found


if __name__ == "__main__":
  main()
