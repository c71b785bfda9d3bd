"""CIFAR-10, CIFAR-100 and MNIST as they are downloaded: files made here in the same forms."""

import gzip
import os
import pickle
import struct

import numpy as np
import pytest

from contrastive_jax import data, errors
from contrastive_jax.data import parts

COUNT = 4  # images in a file
PIXELS = np.random.default_rng(0).integers(0, 256, (6, COUNT, 3, 32, 32), np.uint8)
TEN = [f"class {n}".replace(" ", "_") for n in range(10)]
KINDS = {"fine_label": [f"f{n}" for n in range(100)], "coarse_label": [f"c{n}" for n in range(20)]}
OF_FINE, OF_COARSE = [99, 0, 5, 7], [19, 0, 1, 1]
SETS = ("cifar-10-batches-py", "cifar-10-batches-bin", "cifar-100-python", "cifar-100-binary")


def python_2(value) -> bytes:
  """A pickle as Python 2 writes it, of what CIFAR's files hold."""
  if isinstance(value, dict):
    inside = b"".join(python_2(k) + python_2(v) + b"s" for k, v in value.items())
    return b"}" + inside
  if isinstance(value, list):
    return b"](" + b"".join(map(python_2, value)) + b"e"
  if isinstance(value, int):
    return b"J" + struct.pack("<i", value)
  if isinstance(value, str | bytes):
    content = value.encode() if isinstance(value, str) else value
    return b"T" + struct.pack("<i", len(content)) + content
  array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
  kind = (
    b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
  )
  shape = b"(" + b"".join(map(python_2, value.shape)) + b"t"
  return array + b"(K\x01" + shape + kind + b"I00\n" + python_2(value.tobytes()) + b"tb"


def dumped(value) -> bytes:
  return b"\x80\x02" + python_2(value) + b"."


def write_cifar(folder, name):
  """Writes a set; of 100 classes the training images are those of the first file of 10."""
  folder = folder / name
  folder.mkdir(parents=True)
  hundred, binary = "100" in name, "py" not in name
  files = (
    ["train", "test"] if hundred else [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]
  )
  for number, file in enumerate(files):
    pixels = PIXELS[-1 if number == len(files) - 1 else number].reshape(COUNT, -1)
    labels = {"labels": [number, 1, 9, 0]}
    if hundred:
      labels = {"coarse_labels": OF_COARSE, "fine_labels": OF_FINE}
    if binary:
      columns = [np.array(some, np.uint8)[:, None] for some in labels.values()]
      (folder / f"{file}.bin").write_bytes(np.hstack([*columns, pixels]).tobytes())
    else:
      batch = {"batch_label": "a", **labels, "data": pixels, "filenames": ["x.png"] * COUNT}
      (folder / file).write_bytes(dumped(batch))
  if not binary:
    names = {f"{kind}_names": list(of) for kind, of in KINDS.items()} if hundred else {}
    names = names or {"num_cases_per_batch": COUNT, "label_names": TEN, "num_vis": 3072}
    (folder / ("meta" if hundred else "batches.meta")).write_bytes(dumped(names))
  elif hundred:
    for kind, of in KINDS.items():
      (folder / f"{kind}_names.txt").write_text("\n".join(of) + "\n")
  else:
    (folder / "batches.meta.txt").write_text("\n".join(TEN) + "\n\n")
  return folder


def opened(path, split="train", **options):
  return data.build("npz", split=split, path=str(path), **options)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("above", [False, True])
def test_cifar_is_read_as_it_is_downloaded(name, above, tmp_path):
  folder = write_cifar(tmp_path, name)
  train, test = (opened(tmp_path if above else folder, split) for split in ("train", "test"))
  wanted = PIXELS[: 1 if "100" in name else 5].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
  np.testing.assert_array_equal([train[i]["image"] for i in range(len(train))], wanted)
  np.testing.assert_array_equal(test.images, PIXELS[-1].transpose(0, 2, 3, 1))
  assert parts.in_common(train, test) == 0
  if "100" in name:
    assert list(train.labels) == OF_FINE and train.label_names == tuple(KINDS["fine_label"])
    assert list(train.factors["coarse_labels"]) == OF_COARSE
    coarse = opened(folder, label="coarse_labels")
    assert list(coarse.labels) == OF_COARSE and coarse.label_names == tuple(KINDS["coarse_label"])
    assert coarse.num_classes == 20 and list(coarse.factors["fine_labels"]) == OF_FINE
  else:
    assert list(train.labels[::COUNT]) == [0, 1, 2, 3, 4] and train.label_names == tuple(TEN)
    assert list(test.labels) == [5, 1, 9, 0]


def test_both_versions_and_slices_have_the_same_images(tmp_path):
  py, of_bytes = (opened(write_cifar(tmp_path, name), "train[:50%]") for name in SETS[:2])
  assert py.content() == of_bytes.content() and 0 < len(py) < 20
  message = f"several sets, {tmp_path}/{SETS[1]}, {tmp_path}/{SETS[0]}; set data.npz.path to one"
  with pytest.raises(errors.UserError, match=message):
    opened(tmp_path)


class _Calls:
  def __reduce__(self):
    return os.mkdir, ("was-called",)


@pytest.mark.parametrize("name", SETS)
def test_of_what_is_no_whole_set_the_file_is_told(name, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  folder = write_cifar(tmp_path, name)
  with pytest.raises(errors.NoSplit, match="has no split 'val' but train, test; name one of these"):
    opened(folder, "val")
  files = [path for path in folder.iterdir() if "meta" not in path.name and "name" not in path.name]
  path = next(path for path in files if "train" in path.name or "_3" in path.name)
  whole = path.read_bytes()
  for damaged in (whole[:-1], whole[: len(whole) // 3], b"", b"\0" * 99, pickle.dumps([1])):
    path.write_bytes(damaged)
    with pytest.raises(errors.UserError, match=f"{path}.* copy the set again"):
      opened(folder)
  if path.suffix != ".bin":
    path.write_bytes(pickle.dumps({"data": _Calls()}))
    with pytest.raises(errors.UserError, match=f"{path} is a pickle that calls .*mkdir"):
      opened(folder)
    assert not (tmp_path / "was-called").exists()
  path.unlink()
  with pytest.raises(errors.UserError, match=f"there is no {path}, and others of its set are"):
    opened(folder)


MNIST = {"train": PIXELS[0, :, 0, :28, :28], "t10k": PIXELS[1, :3, 0, :28, :28]}


def write_mnist(folder, begin="", between="-", end="", test="t10k"):
  folder.mkdir(parents=True, exist_ok=True)
  write = gzip.compress if end else bytes
  for split, images in MNIST.items():
    name = f"{begin}{test if split == 't10k' else split}"
    header = struct.pack(">4I", 0x803, *images.shape)
    file = folder / f"{name}-images{between}idx3-ubyte{end}"
    file.write_bytes(write(header + images.tobytes()))
    labels = bytes(range(1, 1 + len(images)))
    file = folder / f"{name}-labels{between}idx1-ubyte{end}"
    file.write_bytes(write(struct.pack(">2I", 0x801, len(images)) + labels))


@pytest.mark.parametrize(
  ("below", "form"),
  [
    ("", {}),
    ("", {"end": ".gz"}),
    ("MNIST/raw", {"end": ".gz"}),
    ("raw", {"between": "."}),
    ("", {"begin": "emnist-letters-", "test": "test", "end": ".gz"}),
  ],
)
def test_mnist_is_read_as_it_is_downloaded(below, form, tmp_path):
  write_mnist(tmp_path / below, **form)
  if below == "MNIST/raw":
    write_mnist(tmp_path / below)  # torchvision keeps what is unpacked beside
  train, test = (opened(tmp_path, split) for split in ("train", "test"))
  np.testing.assert_array_equal(train.images[..., 0], MNIST["train"])
  np.testing.assert_array_equal(test[2]["image"], np.repeat(MNIST["t10k"][2][..., None], 3, -1))
  assert list(train.labels) == [1, 2, 3, 4] and parts.in_common(train, test) == 0


def test_folders_that_are_called_as_files_are_passed_over(tmp_path):
  """In an archive of MNIST at Kaggle each file lies twice, once in a folder that is called so."""
  write_mnist(tmp_path, between=".")
  for path in list(tmp_path.iterdir()):
    (tmp_path / path.name.replace(".", "-")).mkdir()
  np.testing.assert_array_equal(opened(tmp_path).images[..., 0], MNIST["train"])
  write_cifar(tmp_path / "of", "cifar-100-python")
  (tmp_path / "of" / "a").mkdir()
  (tmp_path / "of" / "a" / "meta").write_text("of another set")
  (tmp_path / "of" / "a" / "train").mkdir()
  assert len(opened(tmp_path / "of")) == COUNT


def test_of_several_sets_in_a_folder_one_is_named_by_its_files(tmp_path):
  for name in ("digits", "letters"):
    write_mnist(tmp_path, f"emnist-{name}-", end=".gz", test="test")
  one = f"{tmp_path}/emnist-letters-{{split}}-images-idx3-ubyte.gz"
  with pytest.raises(
    errors.UserError, match="several sets, .*; set data.npz.path to one"
  ) as raised:
    opened(tmp_path)
  assert one in str(raised.value)
  np.testing.assert_array_equal(opened(one, "test").images[..., 0], MNIST["t10k"])


@pytest.mark.parametrize("end", ["", ".gz"])
def test_damaged_files_of_mnist_are_told(end, tmp_path):
  write_mnist(tmp_path, end=end)
  for kind in ("images-idx3", "labels-idx1"):
    path = tmp_path / f"train-{kind}-ubyte{end}"
    whole = path.read_bytes()
    several = gzip.decompress(whole) + b"\0" if end else whole + b"\0"
    longer = gzip.compress(several) if end else several
    huge = gzip.compress(several[:3] + b"\x01\xff\xff\xff\xff") if end else several[:3] + b"\x01"
    for damaged in (whole[:-9], whole[:7], b"", longer, huge, b"\0" * 99):
      path.write_bytes(damaged)
      with pytest.raises(errors.UserError, match=f"{path} is no idx file of bytes .*copy the file"):
        opened(tmp_path)
    path.write_bytes(whole)
  path.unlink()
  with pytest.raises(errors.UserError, match=f"there is no {path}, which has the labels of train-"):
    opened(tmp_path)


def test_a_folder_of_nothing_known_is_told(tmp_path):
  (tmp_path / "a.npz").write_bytes(b"")
  with pytest.raises(errors.Absent, match="is a folder, and no file of CIFAR or MNIST lies there"):
    opened(tmp_path)
