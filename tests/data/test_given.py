"""Objects of another's code as images: what they may give, and what is refused."""

import pickle
import threading
import types

import cloudpickle
import numpy as np
import pytest
from PIL import Image

from contrastive_jax import config, data, errors, run_images
from contrastive_jax.data import given, identity, parts, pipeline

IMAGE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


class Items:
  def __init__(self, *items, **known):
    self._items = items
    self.read = 0
    self.__dict__.update(known)

  def __len__(self):
    return len(self._items)

  def __getitem__(self, index):
    self.read += 1
    item = self._items[index]
    if isinstance(item, Exception):
      raise item
    return item


def source(*items, **known):
  return given.by_split(Items(*items, **known), "train")["train"]


class Tensor:
  """As of another library: an array when it is asked for one."""

  def __init__(self, values):
    self._values = values

  def __array__(self, dtype=None, copy=None):
    return self._values


CHANNELS_FIRST = IMAGE.transpose(2, 0, 1)
GREY = np.repeat(IMAGE[..., :1], 3, 2)
FORMS = {
  "uint8": (IMAGE, IMAGE),
  "float": (IMAGE / np.float32(255), IMAGE),
  "channels first": (CHANNELS_FIRST, IMAGE),
  "float tensor, channels first": (Tensor(CHANNELS_FIRST / np.float32(255)), IMAGE),
  "half": ((IMAGE / 255).astype(np.float64), IMAGE),
  "grey": (IMAGE[..., 0], GREY),
  "grey, a channel": (IMAGE[..., :1], GREY),
  "grey, a channel first": (IMAGE[None, ..., 0], GREY),
  "Pillow": (Image.fromarray(IMAGE), IMAGE),
  "Pillow, grey": (Image.fromarray(IMAGE[..., 0]), GREY),
}


@pytest.mark.parametrize(("image", "wanted"), FORMS.values(), ids=FORMS.keys())
def test_an_image_may_have_any_usual_form(image, wanted):
  for item in (image, (image, 1), [image, 1, "more"], {"image": image, "label": 1}, {"img": image}):
    found = source(item)[0]
    np.testing.assert_array_equal(found["image"], wanted)
    assert found["image"].dtype == np.uint8 and found["image"].flags.c_contiguous
    labelled = not (item is image or isinstance(item, dict) and "label" not in item)
    assert found["label"] == (1 if labelled else -1)


def test_an_image_may_be_a_file_or_what_one_holds(tmp_path):
  Image.fromarray(IMAGE).save(tmp_path / "a.png")
  for image in (tmp_path / "a.png", (tmp_path / "a.png").read_bytes()):
    np.testing.assert_array_equal(source((image, 0))[0]["image"], IMAGE)
    assert source((image, 0)).within(4)[0]["image"].shape == (3, 4, 3)


@pytest.mark.parametrize(
  ("item", "message"),
  [
    (IMAGE.astype(np.float32), "item 0 of train: float pixels from .* are outside 0..1; leave out"),
    (IMAGE / 255 - 0.5, "are outside 0..1"),
    (IMAGE.astype(np.int64), "pixels are int64; give uint8"),
    (np.zeros((4, 4, 5), np.uint8), r"uint8 \[4, 4, 5\] is no image; give \[h, w, 3\]"),
    ({"pixels": IMAGE}, "has no image or img or jpg or png but pixels"),
    ((), "is empty"),
  ],
)
def test_what_is_no_image_is_refused(item, message):
  with pytest.raises(errors.UserError, match=message):
    source(item)[0]


def test_an_object_needs_a_length():
  with pytest.raises(errors.UserError, match="train: generator has no len"):
    given.by_split((i for i in [IMAGE]), "train")
  with pytest.raises(errors.UserError, match="there are no images"):
    given.by_split(Items(), "train")


def test_labels_are_those_that_are_listed_if_the_items_have_them():
  items = [(IMAGE, i % 3) for i in range(40)]
  listed = Items(*items, targets=[i % 3 for i in range(40)], classes=["a", "b", "c", "d"])
  found = given.by_split(listed, "train")["train"]
  assert found.labels.tolist() == [i % 3 for i in range(40)] and listed.read <= 20
  assert found.label_names == ("a", "b", "c", "d") and found.num_classes == 4
  other = Items(*items, targets=[0] * 40)  # which a transform changes
  found = given.by_split(other, "train")["train"]
  assert found.labels.tolist() == [i % 3 for i in range(40)] and other.read >= 40
  assert found.num_classes == 3 and found.label_names == ()


def test_a_set_of_columns_tells_labels_and_names_without_its_images():
  """As those of Hugging Face's datasets, whose items decode images."""

  class Columns(Items):
    column_names = ["image", "label"]
    features = {"image": None, "label": types.SimpleNamespace(names=["a", "b", "c", "d"])}

    def __getitem__(self, index):
      return self.column if isinstance(index, str) else super().__getitem__(index)

  items = Columns(*({"image": IMAGE, "label": i % 3} for i in range(40)))
  items.column = iter([i % 3 for i in range(40)])
  found = given.by_split(items, "train")["train"]
  assert found.labels.tolist() == [i % 3 for i in range(40)] and items.read <= 20
  assert found.label_names == ("a", "b", "c", "d") and found.num_classes == 4


def test_labels_may_be_names_and_are_numbered_over_all_splits():
  train, test = Items((IMAGE, "dog"), (IMAGE, "cat")), Items((IMAGE, "ant"), (IMAGE, -1))
  found = given.by_split({"train": train, "test": test}, "train")
  assert found["train"].label_names == found["test"].label_names == ("ant", "cat", "dog")
  assert found["train"].labels.tolist() == [2, 1] and found["test"].labels.tolist() == [0, -1]
  assert [found["test"][i]["label"] for i in range(2)] == [0, -1]


def test_what_is_no_class_leaves_images_without_labels(caplog):
  found = source((IMAGE, 0.5), (IMAGE, 0.25))
  assert found.num_classes == 0 and found[1]["label"] == -1
  assert "beside an image train has no class but a float" in caplog.text
  with pytest.raises(errors.UserError, match="item 1 of train: label 0.5 is no class"):
    source((IMAGE, 0), (IMAGE, 0.5))
  with pytest.raises(errors.UserError, match="goes up to 10000000000 for 2 images .* identifiers"):
    source((IMAGE, 0), (IMAGE, 10**10))


@pytest.mark.parametrize(
  "first", [(IMAGE, None), {"image": IMAGE, "label": None}, ValueError("ink")]
)
def test_the_first_item_may_have_no_label_or_fail(first):
  found = source(first, (IMAGE, 2), (IMAGE, np.bool_(True)), (IMAGE, None))
  assert found.labels.tolist() == [-1, 2, 1, -1] and found.num_classes == 3


def test_an_item_that_fails_is_replaced_and_named():
  found = source((IMAGE, 0), ValueError("out of ink"), (IMAGE, 2))
  assert found.labels.tolist() == [0, -1, 2]
  with pytest.raises(data.Unreadable, match="item 1 of train: ValueError: out of ink"):
    found[1]
  (batch,) = pipeline.eval_batches(found, batch_size=3, host_size_px=8)
  assert batch["replaced"].tolist() == [0, 1, 0] and batch["label"].tolist() == [0, 2, 2]


def test_slices_and_splits_are_those_of_other_sources():
  images = given.by_split(Items(*((IMAGE, i) for i in range(40))), "train[:50%]")
  half, whole = (given.opened(images, split) for split in ("train[:50%]", "train"))
  assert 8 <= len(half) <= 32 and len(whole) == 40 and parts.in_common(whole, half) == 0
  with pytest.raises(errors.NoSplit, match="for split 'test' but for train; give them, images="):
    given.opened(images, "test")


def test_a_config_alone_says_what_is_missing():
  c = config.pretrain()
  c.data.source = "given"
  for use in (lambda: run_images.training_set(c), lambda: data.build("given", split="train")):
    with pytest.raises(errors.UserError, match='data.source is "given": these images are objects'):
      use()


def test_another_object_is_another_set():
  one = source((IMAGE, 0), (IMAGE, 1))
  assert identity.of(one) == identity.of(source((IMAGE, 0), (IMAGE, 1)))
  assert identity.of(one) != identity.of(source((IMAGE, 1), (IMAGE, 0)))
  arrays = np.stack([IMAGE, IMAGE])
  assert identity.of(given.source(arrays)) != identity.of(given.source(arrays + 1))


def test_worker_processes_get_the_object():
  class Local(Items):  # which the standard library cannot pickle
    pass

  found = given.by_split(Local((IMAGE, 3), (IMAGE, 1)), "train")["train"]
  again = pickle.loads(cloudpickle.dumps(found))
  np.testing.assert_array_equal(again[0]["image"], IMAGE)
  options = {"batch_size": 2, "host_size_px": 8, "cache": "none", "num_workers": 1}
  (batch,) = pipeline.eval_batches(found, **options)
  assert batch["label"].tolist() == [3, 1]


def test_labels_as_bytes_are_names_of_classes():
  """As h5py gives texts."""

  class Named:
    def __len__(self):
      return 4

    def __getitem__(self, index):
      return np.zeros((4, 4, 3), np.uint8), np.array([b"cat", "dög".encode()])[index % 2]

  found = given.source(Named())
  assert found.label_names == ("cat", "dög") and found.labels.tolist() == [0, 1, 0, 1]


def test_an_object_that_no_process_can_be_sent_is_refused_with_workers():
  """As one that holds an open file of h5py."""

  class Held:
    def __init__(self):
      self.lock = threading.Lock()

    def __len__(self):
      return 8

    def __getitem__(self, index):
      return np.zeros((4, 4, 3), np.uint8), index % 2

  asked = {"batch_size": 4, "seed": 0, "total_steps": 1, "host_size_px": 4, "cache": "none"}
  source = given.source(Held())
  assert len(list(pipeline.train_batches(source, num_workers=0, **asked))) == 1
  with pytest.raises(errors.UserError, match="cannot pickle.*lock.*; set data.num_workers=0"):
    list(pipeline.train_batches(source, num_workers=1, **asked))


@pytest.mark.parametrize("form", ["picture", "path", "content"])
def test_that_values_of_16_bits_have_no_range_of_their_own_is_told_once(tmp_path, caplog, form):
  """Scans of 12 bits are nearly black then."""
  scan = Image.fromarray(np.full((6, 6), 4095, np.uint16))
  scan.save(tmp_path / "scan.png")
  path = str(tmp_path / "scan.png")
  given_as = {"picture": scan, "path": path, "content": (tmp_path / "scan.png").read_bytes()}[form]
  source = given.source([(given_as, 0)] * 3, "train")
  assert source[0]["image"].max() == source.within(4)[1]["image"].max() == 15
  [line] = [record.getMessage() for record in caplog.records]
  assert line.startswith("warning: item 0 of train has 16 bits, and values run from 0 to 65,53")
  caplog.clear()
  plain = given.source([(Image.new("L", (6, 6)), 0)], "train")
  assert plain[0]["image"].shape == (6, 6, 3) and not caplog.records


def test_texts_that_name_no_class_and_booleans_are_as_in_other_sources():
  """ "-1" was a class; docs/data.md, Labels that are texts."""
  labels = ["cat", "-1", "ant", ""]
  assert given.source([(IMAGE, label) for label in labels]).labels.tolist() == [1, -1, 0, -1]
  found = given.source([(IMAGE, label) for label in ("10", "nan", "2.0", "-1.0")])
  assert found.label_names == ("2", "10") and found.labels.tolist() == [1, -1, 0, -1]
  found = given.source([(IMAGE, label) for label in ("True", "false", "true")])
  assert found.label_names == ("false", "true") and found.labels.tolist() == [1, 0, 1]
  splits = {"train": [(IMAGE, "True"), (IMAGE, "False")], "test": [(IMAGE, "true")] * 2}
  found = given.by_split(splits, "train")
  assert found["train"].label_names == found["test"].label_names == ("false", "true")
  assert found["train"].labels.tolist() == [1, 0] and found["test"].labels.tolist() == [1, 1]
