"""Images that cannot be read for the moment are waited for; none is taken for damaged."""

import builtins
import errno
import os
import resource
import shutil

import numpy as np
import pytest
from PIL import Image

from contrastive_jax import data, errors, reading
from contrastive_jax.data import given, pipeline

PASSING = [
  errno.EIO,
  errno.ESTALE,
  errno.EMFILE,
  errno.ENFILE,
  errno.ENOMEM,
  errno.EAGAIN,
  errno.EINTR,
  errno.ETIMEDOUT,
  errno.ENOTCONN,
]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
  monkeypatch.setattr(reading, "PAUSES_S", (0.0,) * 3)


@pytest.fixture
def folder(tmp_path):
  """Eight images in two classes."""
  for i in range(8):
    path = tmp_path / "set" / f"class{i % 2}" / f"{i}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (i, 0, 0)).save(path)
  return tmp_path / "set"


def failing(monkeypatch, part, error, times):
  """Makes opening of paths that hold `part` fail so many times."""
  real, left = builtins.open, [times]

  def fails(path, *args, **options):
    if part in str(path) and left[0]:
      left[0] -= 1
      raise error if isinstance(error, Exception) else OSError(error, os.strerror(error), path)
    return real(path, *args, **options)

  monkeypatch.setattr(builtins, "open", fails)
  return left


def batches(source, **options):
  options = {"batch_size": 8, "seed": 0, "total_steps": 2, "cache": "none"} | options
  return list(pipeline.train_batches(source, host_size_px=8, **options))


def opened(folder):
  return data.build("folder", split="train", path=str(folder))


@pytest.mark.parametrize("error", [*PASSING, MemoryError(), TimeoutError("no answer")])
@pytest.mark.parametrize("cache", ["none", "memory"])
def test_an_error_that_passes_replaces_no_image(folder, monkeypatch, error, cache):
  wanted = batches(opened(folder))
  source = opened(folder)
  left = failing(monkeypatch, "3.png", error, times=2)
  for batch, other in zip(batches(source, cache=cache), wanted, strict=True):
    assert not batch["replaced"].any()
    np.testing.assert_array_equal(batch["image"], other["image"])
  assert left == [0]


@pytest.mark.parametrize("error", [*PASSING, MemoryError()])
def test_one_that_stays_ends_the_run_so_that_it_is_started_again(folder, monkeypatch, error):
  source = opened(folder)
  left = failing(monkeypatch, ".png", error, times=10**6)
  with pytest.raises(errors.ReadFailed, match="image . cannot be read .* tried 4 times"):
    batches(source)
  left[0] = 0  # the disk is back: nothing was barred meanwhile
  assert not any(batch["replaced"].any() for batch in batches(source))


def test_what_the_system_does_not_name_is_named(folder, monkeypatch):
  """A read, other than an opening, fails without the path."""
  monkeypatch.setattr(reading, "PAUSES_S", ())
  failing(monkeypatch, "3.png", OSError(errno.EIO, "Input/output error"), times=10**6)
  with pytest.raises(errors.ReadFailed, match="image .* cannot be read .*3.png"):
    batches(opened(folder))


def test_an_error_while_pixels_are_decoded_passes_too(folder, monkeypatch):
  source, real, left = opened(folder), Image.open, [2]

  def fails(*args, **options):
    if left[0]:
      left[0] -= 1
      raise OSError(errno.EIO, "Input/output error")
    return real(*args, **options)

  monkeypatch.setattr(Image, "open", fails)
  assert not any(batch["replaced"].any() for batch in batches(source))


def test_a_damaged_file_and_one_that_was_deleted_are_replaced_as_ever(folder):
  source = opened(folder)
  (folder / "class1" / "3.png").write_bytes(b"no image")
  (folder / "class0" / "4.png").unlink()
  for batch in batches(source):
    assert batch["replaced"].sum() == 2


def test_a_folder_that_is_away_is_no_missing_image(folder):
  source = opened(folder)
  shutil.move(folder, folder.with_name("away"))
  with pytest.raises(errors.ReadFailed, match="No such file or directory"):
    batches(source)
  shutil.move(folder.with_name("away"), folder)
  assert not any(batch["replaced"].any() for batch in batches(source))


@pytest.mark.parametrize("left_behind", [(), (".mounted",)])
def test_a_flat_folder_whose_disk_is_away_is_no_set_of_deleted_images(left_behind, tmp_path):
  """The place where a disk was mounted is an empty folder."""
  flat = tmp_path / "set"
  flat.mkdir()
  for i in range(8):
    Image.new("RGB", (8, 8), (i, 0, 0)).save(flat / f"{i}.png")
  for source in (opened(flat), given.source([str(flat / f"{i}.png") for i in range(8)])):
    flat.rename(tmp_path / "away")
    flat.mkdir()
    for name in left_behind:
      (flat / name).touch()
    with pytest.raises(errors.ReadFailed, match="No such file or directory"):
      batches(source)
    shutil.rmtree(flat)
    (tmp_path / "away").rename(flat)
    assert not any(batch["replaced"].any() for batch in batches(source))


def test_the_only_image_of_a_class_may_be_deleted(folder):
  source = opened(folder)
  for path in (folder / "class1").iterdir():
    path.unlink()
  assert batches(source)[0]["replaced"].sum() == 4


def test_images_that_python_gives_are_waited_for_too(folder, monkeypatch):
  files = sorted(str(path) for path in folder.rglob("*.png"))
  source = given.source(files)
  failing(monkeypatch, ".png", errno.EIO, times=2)
  assert not any(batch["replaced"].any() for batch in batches(source))


def test_a_listing_that_fails_leaves_no_class_out(folder, monkeypatch):
  real, left = os.scandir, [2]

  def fails(path="."):
    if "class1" in str(path) and left[0]:
      left[0] -= 1
      raise OSError(errno.EIO, "Input/output error", str(path))
    return real(path)

  monkeypatch.setattr(os, "scandir", fails)
  assert len(opened(folder)) == 8 and left == [0]
  left[0] = 10**6
  with pytest.raises(errors.ReadFailed, match="data source folder cannot be read"):
    opened(folder)


def test_arrays_that_cannot_be_read_for_now_are_no_mistake(tmp_path, monkeypatch):
  path = str(tmp_path / "set.npz")
  np.savez(path, images=np.zeros((4, 8, 8, 3), np.uint8))
  left = failing(monkeypatch, "set.npz", errno.EIO, times=2)
  assert len(data.build("npz", split="train", path=path)) == 4
  left[0] = 10**6
  with pytest.raises(errors.ReadFailed, match="data source npz cannot be read"):
    data.build("npz", split="train", path=path)


def test_records_whose_file_could_not_be_opened_are_read_again(tmp_path):
  """Of TFDS; a reader of array_record that has failed once answers the same for good."""
  from array_record.python import array_record_data_source, array_record_module

  from contrastive_jax.data import records as records_lib

  writer = array_record_module.ArrayRecordWriter(str(tmp_path / "records"), "group_size:1")
  for i in range(4):
    writer.write(bytes([i]) * 100)
  writer.close()

  class Records:
    data_source = array_record_data_source.ArrayRecordDataSource(str(tmp_path / "records"))

    def __getitem__(self, index):
      return self.data_source[index]

    def __getitems__(self, indices):
      return self.data_source.__getitems__(indices)

  records, held = Records(), []
  soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
  lowest = os.open(os.devnull, os.O_RDONLY)
  try:
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 4, hard))
    with pytest.raises(OSError, match="Too many open files"):
      while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
    ahead = records_lib.Ahead(records, [0, 1])
    with pytest.raises(OSError, match=r"open\(\) failed: Too many open files"):
      records_lib.record(ahead, 1)
  finally:
    for descriptor in [*held, lowest]:
      os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
  assert records_lib.record(ahead, 1) == b"\1" * 100
