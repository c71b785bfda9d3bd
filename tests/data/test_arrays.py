"""Arrays given to `train` and others: rows of files are read when asked for, labels at once."""

import pickle
import types

import numpy as np
import pytest
from PIL import Image

from contrastive_jax import errors
from contrastive_jax.data import given, pipeline

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 5, 7, 3), np.uint8)


class Elsewhere:
  """An array in a file, as those of h5py and zarr are: it counts what is read."""

  def __init__(self, values):
    self._values, self.read, self.whole = values, [], 0

  shape = property(lambda self: self._values.shape)
  dtype = property(lambda self: self._values.dtype)

  def __getitem__(self, index):
    self.read.append(index)
    return self._values[index]

  def __array__(self, dtype=None, copy=None):
    self.whole += 1
    return self._values

  def __reduce__(self):
    raise TypeError("objects of this library cannot be pickled")


class Closed(Elsewhere):
  @property
  def shape(self):
    raise RuntimeError("Unable to get dataspace (identifier is not of specified type)")


def source(images):
  return given.by_split(images, "train")["train"]


@pytest.mark.parametrize(
  ("rows", "wanted"),
  [
    (IMAGES, IMAGES),
    (IMAGES.transpose(0, 3, 1, 2), IMAGES),
    (IMAGES / np.float32(255), IMAGES),
    (IMAGES[..., 0], np.repeat(IMAGES[..., :1], 3, -1)),
  ],
  ids=["uint8", "channels first", "float", "grey"],
)
def test_rows_of_an_array_in_a_file_are_read_when_asked_for(rows, wanted):
  array = Elsewhere(rows)
  found = source(array)
  assert set(array.read) == {0} and len(found) == 30 and found.native_size_px == 7
  np.testing.assert_array_equal(found[20]["image"], wanted[20])
  (batch,) = pipeline.train_batches(found, batch_size=30, seed=0, total_steps=1, cache="none")
  assert sorted(set(array.read)) == list(range(30)) and not array.whole
  np.testing.assert_array_equal(batch["image"][:, :5], wanted[batch["index"]])


def test_labels_beside_an_array_are_read_at_once():
  labels = Elsewhere((np.arange(30) % 4)[:, None, None])  # as PCam has them
  found = source((Elsewhere(IMAGES), labels))
  assert labels.whole == 1 and not labels.read
  assert found.num_classes == 4 and found.labels.tolist() == [i % 4 for i in range(30)]
  assert found[5]["label"] == 1
  named = Elsewhere(np.array([b"dog", b"cat"] * 15))
  assert source((Elsewhere(IMAGES), named)).label_names == ("cat", "dog")


@pytest.mark.parametrize("labels", [np.arange(30) % 3, [i % 3 for i in range(30)]])
def test_arrays_in_memory_may_have_labels_beside_them(labels):
  found = source((IMAGES, labels))
  assert found.num_classes == 3 and found[4]["label"] == 1 and found.native_size_px == 7
  in_rows = source((Elsewhere(IMAGES), np.eye(3)[np.asarray(labels)]))  # one 1 in each
  assert in_rows.labels.tolist() == found.labels.tolist()
  assert given.source((IMAGES, labels), with_labels=False)[4]["label"] == -1


@pytest.mark.parametrize(
  ("array", "wanted"),
  [
    (IMAGES / 255, IMAGES),
    (IMAGES.transpose(0, 3, 1, 2), IMAGES),
    (IMAGES[..., :1], np.repeat(IMAGES[..., :1], 3, -1)),
  ],
  ids=["float", "channels first", "grey"],
)
def test_an_array_may_have_the_forms_of_a_single_image(array, wanted):
  found = source(array)
  np.testing.assert_array_equal(found[3]["image"], wanted[3])
  assert found.native_size_px == 7 and found.num_classes == 0


def test_paths_may_have_labels_beside_them_and_be_an_array(tmp_path):
  for i in range(4):
    Image.fromarray(IMAGES[i]).save(tmp_path / f"{i}.png")
  paths = [str(tmp_path / f"{i}.png") for i in range(4)]
  found = source((paths, ["dog", "cat", "dog", "cat"]))
  assert found.label_names == ("cat", "dog") and found[2]["label"] == 1
  np.testing.assert_array_equal(found[2]["image"], IMAGES[2])
  assert source((paths, np.array([0, 1, 0, 1]))).labels.tolist() == [0, 1, 0, 1]
  assert len(source(np.array(paths))) == len(source((paths[0], paths[1]))) * 2 == 4
  with pytest.raises(errors.UserError, match=r"train: 4 images, and labels have shape \[3\]"):
    source((paths, [0, 1, 2]))


def test_two_images_are_no_images_with_labels():
  found = source((IMAGES[0], IMAGES[1]))
  assert len(found) == 2 and found.num_classes == 0


def test_labels_that_an_object_lists_in_a_file_are_read_at_once():
  class Pairs:
    targets = Elsewhere(np.arange(30) % 4)

    def __len__(self):
      return 30

    def __getitem__(self, index):
      return IMAGES[index], index % 4

  assert source(Pairs()).num_classes == 4
  assert Pairs.targets.whole == 1 and not Pairs.targets.read


def test_a_row_may_be_the_content_of_a_file(tmp_path):
  """As h5py has bytes of any length."""
  Image.fromarray(IMAGES[0]).save(tmp_path / "a.png")
  content = np.frombuffer((tmp_path / "a.png").read_bytes(), np.uint8)
  rows = np.empty(2, object)
  rows[:] = [content, content]
  found = source(Elsewhere(rows))
  np.testing.assert_array_equal(found[1]["image"], IMAGES[0])
  assert found.native_size_px is None


COLUMNS = {"images": IMAGES, "labels": np.arange(30)}
PAIR = r"\['images'\], or with labels the pair \(.*\['images'\], .*\['labels'\]\)$"


@pytest.mark.parametrize(
  ("images", "message"),
  [
    ({"train": types.MappingProxyType(COLUMNS)}, f"train: .* of images, labels .* file{PAIR}"),
    (types.MappingProxyType(COLUMNS), f"images: .* is no array of images; .* such as file{PAIR}"),
    (COLUMNS, f"images: a dict of images, labels .* such as given{PAIR}"),
    ({"train": {"faces": IMAGES}}, r"train: a dict of faces is .* such as given\['faces'\]$"),
    ({"train": (IMAGES, np.ones((30, 3)))}, r"train: 30 images, and labels have shape \[30, 3\]"),
    ({"train": (IMAGES, np.arange(4))}, r"train: 30 images, and labels have shape \[4\]"),
    ({"train": Elsewhere(np.arange(30))}, r"item 0 of train: int64 \[\] is no image"),
    ({"train": Closed(IMAGES)}, "train: the first image cannot be read .* keep the file open"),
    ({"train": (Closed(IMAGES), Closed(IMAGES))}, "train: the first image cannot be read "),
    ({"train": Elsewhere(IMAGES[:0])}, "there are no images"),
  ],
)
def test_what_holds_arrays_and_is_none_is_refused_at_once(images, message):
  with pytest.raises(errors.UserError, match=message):
    source(images)


def test_splits_may_have_any_names():
  found = given.by_split({"mine": IMAGES, "images": IMAGES}, "mine")
  assert len(found["mine"]) == 30


def test_an_array_in_a_file_that_no_process_can_be_sent_is_refused_with_workers():
  found = source(Elsewhere(IMAGES))
  with pytest.raises(errors.UserError, match="cannot be pickled.*; set data.num_workers=0"):
    list(pipeline.eval_batches(found, batch_size=3, cache="none", num_workers=1))


@pytest.mark.parametrize("labels", [None, np.arange(20) % 3], ids=["alone", "with labels"])
def test_a_mapped_array_goes_to_workers_as_a_place_in_its_file(tmp_path, labels):
  np.save(tmp_path / "a.npy", IMAGES)
  mapped = np.load(tmp_path / "a.npy", mmap_mode="r")[10:]
  found = source(mapped if labels is None else (mapped, labels))
  sent = pickle.dumps(found)
  assert len(sent) < IMAGES.nbytes / 2
  np.testing.assert_array_equal(pickle.loads(sent)[3]["image"], IMAGES[13])
  (batch,) = pipeline.eval_batches(found, batch_size=20, cache="none", num_workers=2)
  np.testing.assert_array_equal(batch["image"][:, :5], IMAGES[10:])


@pytest.mark.parametrize("change", [lambda m: m[:, ::2], lambda m: m[::-1]], ids=["part", "turned"])
def test_a_mapped_array_in_another_order_goes_to_workers_whole(tmp_path, change):
  np.save(tmp_path / "a.npy", IMAGES)
  mapped = change(np.load(tmp_path / "a.npy", mmap_mode="r"))
  again = pickle.loads(pickle.dumps(given.source(mapped)))
  np.testing.assert_array_equal(again[3]["image"], mapped[3])


def test_what_was_changed_in_memory_alone_goes_to_workers_whole(tmp_path):
  np.save(tmp_path / "a.npy", IMAGES)
  mapped = np.load(tmp_path / "a.npy", mmap_mode="c")
  mapped[3] = 7
  again = pickle.loads(pickle.dumps(given.source(mapped)))
  assert (again[3]["image"] == 7).all()


@pytest.mark.parametrize("package", ["h5py", "zarr"])
def test_arrays_of_other_packages_are_read_by_rows(tmp_path, package):
  library = pytest.importorskip(package)
  if package == "h5py":
    file = library.File(tmp_path / "a.h5", "w")
    file["images"], file["labels"] = IMAGES, np.arange(30) % 3
  else:
    file = library.open_group(tmp_path / "a.zarr", mode="w")
    file.create_array("images", data=IMAGES, chunks=(4, 5, 7, 3))
    file.create_array("labels", data=np.arange(30) % 3)
  found = source((file["images"], file["labels"]))
  assert found.num_classes == 3
  (batch,) = pipeline.eval_batches(found, batch_size=30, cache="none", num_threads=8)
  np.testing.assert_array_equal(batch["image"][:, :5], IMAGES)
  with pytest.raises(
    errors.UserError, match=f"train: a (File|Group) of images, labels .* file{PAIR}"
  ):
    source({"train": file})
