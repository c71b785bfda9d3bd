"""Files that are damaged, claim too much, or hold more than weights: one line, and nothing is run.

Every pickle here is harmless: what it would call, were it called, leaves a mark in a list of this
module, or makes a name upper-case. The refusals are those of our own reading and of PyTorch's.
"""

import collections
import datetime
import importlib.util
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import foreign
import numpy as np
import pytest

from contrastive_jax import errors, numpy_pickle
from contrastive_jax.weights import convert, convert_child, safetensors_file, start

needs_torch = pytest.mark.skipif(
  importlib.util.find_spec("torch") is None, reason="PyTorch is not installed (extra convert)"
)
GOOD = safetensors_file.content(foreign.drawn({"a": (2, 3), "b": (4,)}), {})
LENGTH = struct.unpack("<Q", GOOD[:8])[0]


def with_header(header, rest=b"\0" * 40):
  text = header if isinstance(header, bytes) else json.dumps(header).encode()
  return struct.pack("<Q", len(text)) + text + rest


def entry(shape=(2,), kind="F32", offsets=(0, 8)):
  return {"dtype": kind, "shape": list(shape), "data_offsets": list(offsets)}


def npz(members):
  made = io.BytesIO()
  with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
    for name, content in members.items():
      archive.writestr(name, content)
  return made.getvalue()


def npy(array=None, head=None):
  made = io.BytesIO()
  if head is None:
    np.save(made, array, allow_pickle=True)
    return made.getvalue()
  text = head.encode() + b" " * (-(len(head) + 11) % 64) + b"\n"
  return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


SAFETENSORS = {
  "nothing": b"",
  "seven bytes": b"\0" * 7,
  "a header longer than the file": struct.pack("<Q", 2**40) + GOOD[8:],
  "a header that is no JSON": with_header(b"{'a': 1}"),
  "a header that is not UTF-8": with_header(b'{"\xff": 1}'),
  "a header nested without end": with_header(b'{"a":' * 50_000),
  "a header that is a list": with_header([1, 2]),
  "a name twice": with_header(b'{"a": {}, "a": {}}'),
  "an entry that is a number": with_header({"a": 3}),
  "an entry without a place": with_header({"a": {"dtype": "F32", "shape": [2]}}),
  "a negative side": with_header({"a": entry((-2,))}),
  "a side that is true": with_header({"a": entry((True, 2))}),
  "offsets the wrong way round": with_header({"a": entry(offsets=(8, 0))}),
  "an array longer than its shape": with_header({"a": entry(offsets=(0, 40))}),
  "an array beyond the end": with_header({"a": entry((1000,), offsets=(0, 4000))}),
  "a shape of more than all memory": with_header({"a": entry((2**62,), offsets=(0, 2**64))}),
  "arrays that overlap": with_header({"a": entry(), "b": entry()}, b"\0" * 8),
  "a gap between arrays": with_header({"a": entry(), "b": entry(offsets=(16, 24))}, b"\0" * 24),
  "bytes after the last": GOOD + b"\0" * 8,
  "cut off": GOOD[:-5],
  "a type that there is not": with_header({"a": entry(kind="F31")}),
  "metadata that are text": with_header({"__metadata__": "x", "a": entry()}, b"\0" * 8),
}
NPZ = {
  "a zip that is cut off": npz({"a.npy": npy(np.zeros(3))})[:-30],
  "no arrays in it": npz({"a.txt": b"hello"}),
  "Python objects": npz({"a.npy": npy(np.array([{"b": 1}], dtype=object))}),
  "an array that claims a disk": npz({"a.npy": npy(head="{'descr': '<f4', 'fortran_order': False,"
                                                        " 'shape': (1099511627776,)}")}),
  "a head that calls": npz({"a.npy": npy(head="{'descr': len('<f4'), 'fortran_order': False,"
                                              " 'shape': (2,)}")}),
  "a checksum that is not its content's": npz({"a.npy": npy(np.arange(30.0))}).replace(
    zipfile.ZipFile(io.BytesIO(npz({"a.npy": npy(np.arange(30.0))}))).infolist()[0]
    .CRC.to_bytes(4, "little"), b"\0\0\0\0"),
}  # fmt: skip


def one_line(error):
  return "\n" not in str(error.value) and len(str(error.value)) < 1000


@pytest.mark.parametrize("case", SAFETENSORS)
def test_a_damaged_safetensors_file_is_answered_by_one_line(case, tmp_path):
  file = tmp_path / "weights.safetensors"
  file.write_bytes(SAFETENSORS[case])
  with pytest.raises(errors.UserError) as refused:
    start.read(str(file))
  assert one_line(refused) and str(file) in str(refused.value)


@pytest.mark.parametrize("case", NPZ)
def test_a_damaged_npz_file_is_answered_by_one_line(case, tmp_path):
  file = tmp_path / "weights.npz"
  file.write_bytes(NPZ[case])
  with pytest.raises(errors.UserError) as refused:
    start.read(str(file))
  assert one_line(refused) and str(file) in str(refused.value)


def test_the_whole_file_is_read_with_the_library_that_others_use():
  reader = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
  turned = foreign.drawn({"a": (2, 3, 4, 5)})["a"].transpose(3, 2, 0, 1)
  given = {"a": turned, "b": turned.reshape(10, 12).T, "n": np.asarray(7)}
  found = reader.load(safetensors_file.content(given, {"k": "v"}))
  for name in given:
    np.testing.assert_array_equal(found[name], given[name])
  assert found["n"].shape == ()


CALLED = []


class Calls:
  """An object whose pickle asks for a call; were it made, `CALLED` would tell."""

  def __init__(self, function, *arguments):
    self.call = function, arguments

  def __reduce__(self):
    return self.call


PICKLES = {
  "a call of a list's method": pickle.dumps({"a": Calls(CALLED.append, 1)}),
  "a built-in function": pickle.dumps([Calls(str.upper, "a")]),
  "a function of the system": pickle.dumps(Calls(os.getcwd)),
  "a class of the standard library": pickle.dumps(collections.Counter("abc")),
  "an import": pickle.dumps(Calls(importlib.util.find_spec, "json")),
  "a scalar of text": pickle.dumps({"a": np.array(["x"])}),
  "an array of objects": pickle.dumps({"a": np.array([object], dtype=object)}),
  "an object outside the file": b"\x80\x04\x8c\x01aQ.",
  "bytes that are no pickle": b"\x00\x01\x02\x03",
  "a pickle that is cut off": pickle.dumps({"a": np.zeros(9)})[:-20],
  "no arrays": pickle.dumps({"a": 3, "b": "text"}),
}


@pytest.mark.parametrize("case", PICKLES)
def test_a_pickle_of_more_than_arrays_calls_nothing(case):
  arrays = {}
  with pytest.raises(Exception) as refused:  # noqa: B017 which one is the child's to say
    found = numpy_pickle.load(io.BytesIO(PICKLES[case]))
    arrays, _ = convert_child.flat(found, ".")
    raise ValueError("there are no arrays in it")
  assert not arrays
  assert "\n" not in convert_child._said(refused.value)
  assert not CALLED


def test_a_pickle_calls_no_array_by_its_name():
  called = b"\x80\4\x8c\5numpy\x8c\7ndarray\x93K\3\x85\x8c\1O\x86R."  # ndarray(3, "O")
  with pytest.raises((numpy_pickle.Refused, TypeError)):
    numpy_pickle.load(io.BytesIO(called))


@pytest.mark.parametrize("kind", [(np.int16, (4,)), "O", "i2,i2", "U2"])
def test_types_of_more_than_numbers_are_refused(kind):
  with pytest.raises(numpy_pickle.Refused):
    numpy_pickle._plain(np.dtype(kind))


def test_a_type_is_made_anew():
  kind = np.dtype("i8", metadata={"of": "a file"})
  assert numpy_pickle._plain(kind).metadata is None


def test_a_pickle_of_arrays_is_read(tmp_path):
  arrays = foreign.drawn({"a": (2, 3), "b": (4,)})
  nested = {"outer": collections.OrderedDict(arrays), "rate": np.float64(0.3), "step": 7}
  nested["high byte first"] = np.arange(3, dtype=">i4")
  nested["turned"] = np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2)  # as kernels often are
  for protocol in range(2, 6):
    found = numpy_pickle.load(io.BytesIO(pickle.dumps(nested, protocol)))
    for name, array in arrays.items():
      np.testing.assert_array_equal(found["outer"][name], array)
    assert found["rate"] == 0.3
    assert found["high byte first"].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(found["turned"], nested["turned"])


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
  """A pickle of NumPy's, one that calls and one that is cut off, each given to the real command."""
  folder = tmp_path_factory.mktemp("convert")
  arrays = foreign.drawn({"w": (2, 3), "b": (4,)})
  good = {"experiment_state": {"online_params": {"res_net/~/conv": arrays}}, "opt_state": arrays}
  contents = {
    "good": pickle.dumps(good),
    "calls": PICKLES["a built-in function"],
    "cut": PICKLES["a pickle that is cut off"],
    "empty": b"",
  }
  found = {}
  for name, content in contents.items():
    (folder / f"{name}.pkl").write_bytes(content)
    try:
      found[name] = convert.run(str(folder / f"{name}.pkl"))
    except errors.UserError as error:
      found[name] = str(error)
  return arrays, found, folder


@pytest.mark.slow  # four processes that import NumPy, and PyTorch where it is there
def test_the_command_writes_arrays_or_one_line(converted):
  arrays, found, folder = converted
  content, _ = safetensors_file.parsed(found["good"].read_bytes(), "good")
  assert set(content) == {f"experiment_state/online_params/res_net/~/conv/{n}" for n in arrays}
  np.testing.assert_array_equal(content["experiment_state/online_params/res_net/~/conv/w"],
                                arrays["w"])  # fmt: skip
  assert "it holds builtins.getattr, which is no weights" in found["calls"]
  for name in ("calls", "cut", "empty"):
    assert isinstance(found[name], str) and "\n" not in found[name]
    assert not (folder / f"{name}.safetensors").exists()
  assert {p.suffix for p in folder.iterdir()} == {".pkl", ".safetensors"}, "nothing half-written"


SHUT = """
import socket, subprocess, sys, tempfile
from contrastive_jax.weights import convert_child
held = tempfile.TemporaryFile()
convert_child.shut()
asked = {
  "a program": lambda: subprocess.run(["true"]),
  "a socket": lambda: socket.socket(),
  "an address": lambda: socket.getaddrinfo("localhost", 80),
  "a file to write": lambda: open(sys.argv[1], "w"),
  "a file removed": lambda: __import__("os").remove(sys.argv[1]),
}
for name, act in asked.items():
  try:
    act()
    print(name, "was given")
  except PermissionError as error:
    print(name, "was refused")
held.write(b"1")
print(open(sys.argv[1]).read())
"""


@pytest.mark.slow  # a process
def test_the_process_that_reads_has_no_programs_network_or_files(tmp_path):
  file = tmp_path / "there"
  file.write_text("still there")
  command = [sys.executable, "-c", SHUT, str(file)]
  done = subprocess.run(command, capture_output=True, text=True, check=True)
  lines = done.stdout.splitlines()
  assert len(lines) == 6 and lines[-1] == "still there"
  assert all(line.endswith("was refused") for line in lines[:-1]), lines


MISTAKES = {
  "no file": ("gone.pth", "gone.pth is not there; give a file ending in .pth, "),
  "a folder": (".", " is a folder, no file of weights"),
  "weights already": ("w.safetensors", "needs no conversion: --config.init.path="),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_what_cannot_be_converted_is_answered_before_a_process_starts(case, tmp_path):
  (tmp_path / "w.safetensors").write_bytes(GOOD)
  name, words = MISTAKES[case]
  with pytest.raises(errors.UserError) as refused:
    convert.run(str(tmp_path / name))
  assert words in str(refused.value)


def test_a_file_that_may_hold_programs_is_not_read_as_weights(tmp_path):
  file = tmp_path / "w.pth"
  file.write_bytes(GOOD)
  with pytest.raises(errors.UserError, match="first: contrastive_jax convert "):
    start.read(str(file))


def test_a_checkpoint_of_tensorflow_is_told_as_such(tmp_path):
  for name in ("saved/saved_model.pb", "run/checkpoint", "run/ckpt-7.index"):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"0")
  for given in ("saved", "run", "run/ckpt-7", "run/ckpt-7.index", "saved/saved_model.pb"):
    with pytest.raises(errors.UserError, match="is TensorFlow's, which is not read here; ") as told:
      start.read(str(tmp_path / given))
    assert one_line(told) and str(told.value).startswith(f"init.path {tmp_path / given} is ")


def test_a_byte_that_changed_within_an_array_is_found():
  made = io.BytesIO()
  with zipfile.ZipFile(made, "w") as archive:
    archive.writestr("archive/data.pkl", pickle.dumps({}))
    archive.writestr("archive/data/0", np.arange(99.0).tobytes())
  content = made.getvalue()
  convert_child._check_sums(io.BytesIO(content))
  changed = content.replace(np.float64(50).tobytes(), np.float64(51).tobytes(), 1)
  with pytest.raises(convert_child.NoWeights, match="archive/data/0 in it is not what its checks"):
    convert_child.read(io.BytesIO(changed))


def without_sums(content, of=None):
  """Puts 0 in the place of checksums, of all entries or of one: a zip as PyTorch writes it then."""
  for entry in zipfile.ZipFile(io.BytesIO(content)).infolist():
    if of in (None, entry.filename):
      content = content.replace(entry.CRC.to_bytes(4, "little"), bytes(4))
  return content


def test_a_file_without_checksums_is_taken_and_that_is_said(tmp_path, monkeypatch, caplog):
  parts = {"archive/data.pkl": pickle.dumps({}), "archive/data/0": np.arange(99.0).tobytes()}
  made = npz(parts)
  assert convert_child._has_sums(io.BytesIO(made))
  bare = io.BytesIO(without_sums(made))
  convert_child._check_sums(bare)
  assert not convert_child._has_sums(bare)
  one = io.BytesIO(without_sums(made, of="archive/data/0"))
  with pytest.raises(convert_child.NoWeights, match="archive/data/0 in it is not what its checks"):
    convert_child._check_sums(one)
  assert convert_child._has_sums(io.BytesIO(pickle.dumps(1)))

  for sums in (True, False):
    file = tmp_path / f"{sums}.pth"
    file.write_bytes(made)
    said = {"left": [], "sums": sums}
    monkeypatch.setattr(convert, "_child", lambda _, out, said=said: os.write(out, GOOD) and said)
    convert.run(str(file))
    warned = f"{file} was written without checksums, so a damaged array would not be seen"
    assert (warned in caplog.text) != sums


@needs_torch
@pytest.mark.slow  # a process that imports PyTorch
def test_what_pytorch_wrote_without_checksums_is_read(tmp_path):
  import torch

  torch.serialization.set_crc32_options(False)
  try:
    torch.save({"a": torch.arange(300.0)}, tmp_path / "w.pth")
  finally:
    torch.serialization.set_crc32_options(True)
  found, _ = safetensors_file.parsed(convert.run(str(tmp_path / "w.pth")).read_bytes(), "it")
  np.testing.assert_array_equal(found["a"], np.arange(300.0))


@needs_torch
@pytest.mark.slow  # three processes that import PyTorch
def test_files_of_pytorch_are_read_as_weights_alone(tmp_path):
  import argparse

  import torch

  state = {"conv1.weight": torch.arange(6.0).reshape(2, 3).T, "n": torch.tensor(3)}
  state["half"] = torch.ones(2, dtype=torch.bfloat16)
  whole = {"state_dict": state, "optimizer": {"m": torch.ones(4)}, "args": argparse.Namespace(a=1)}
  for legacy in (False, True):
    file = tmp_path / f"{legacy}.pth"
    torch.save(whole, file, _use_new_zipfile_serialization=not legacy)
    found, _ = safetensors_file.parsed(convert.run(str(file)).read_bytes(), "it")
    assert set(found) == {"state_dict.conv1.weight", "state_dict.n", "state_dict.half"}
    np.testing.assert_array_equal(found["state_dict.conv1.weight"], state["conv1.weight"].numpy())
    assert found["state_dict.half"].dtype.name == "bfloat16"


@needs_torch
@pytest.mark.slow  # a process for each
def test_what_pytorch_would_have_to_call_is_named_and_not_called(tmp_path):
  import torch

  kept = io.BytesIO()
  torch.save({"a": torch.ones(2)}, kept)
  cases = {
    "getattr": {"a": Calls(str.upper, "a")},
    "datetime.date": datetime.date(2026, 1, 1),
    "torch.nn.modules.linear.Linear": torch.nn.Linear(2, 2),
    "a tensor that is sparse": {"a": torch.eye(3).to_sparse()},
    "there are no arrays": {"a": 3},
    "it cannot be read as weights": kept.getvalue()[:-100],
    "is not what its checksum is of": kept.getvalue().replace(b"\0\0\x80?" * 2, b"\0\0\x80@" * 2),
  }
  for number, (words, what) in enumerate(cases.items()):
    file = tmp_path / f"{number}.ckpt"
    if isinstance(what, bytes):
      file.write_bytes(what)
    else:
      torch.save(what, file)
    with pytest.raises(errors.UserError, match=words) as refused:
      convert.run(str(file))
    assert one_line(refused) and not file.with_suffix(".safetensors").exists()
