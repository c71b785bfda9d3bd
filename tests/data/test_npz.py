"""Images in NumPy files."""

import numpy as np
import pytest

from contrastive_jax import data, errors

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3), np.uint8)
LABELS = np.array([2, 0, 1, 0])


def opened(path, split="train", **options):
  return data.build("npz", split=split, path=str(path), **options)


def saved(tmp_path, name="set.npz", **arrays):
  np.savez(tmp_path / name, **arrays)
  return tmp_path / name


@pytest.mark.parametrize("keys", [("images", "labels"), ("image", "label"), ("x", "y")])
def test_images_and_labels_come_back_under_the_usual_names(tmp_path, keys):
  source = opened(saved(tmp_path, **dict(zip(keys, (IMAGES, LABELS), strict=True))))
  assert len(source) == 4 and source.num_classes == 3 and source.native_size_px == 6
  for i in range(4):
    np.testing.assert_array_equal(source[i]["image"], IMAGES[i])
    assert source[i]["label"] == LABELS[i] and source[i]["index"] == i


def test_the_split_is_part_of_the_path(tmp_path):
  saved(tmp_path, "a_train.npz", images=IMAGES)
  saved(tmp_path, "a_test.npz", images=IMAGES[:1])
  assert len(opened(tmp_path / "a_{split}.npz")) == 4
  assert len(opened(tmp_path / "a_{split}.npz", "test")) == 1


def test_the_splits_of_one_file_are_told_by_their_names(tmp_path):
  path = saved(tmp_path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:2], y_test=LABELS[:2, None])
  assert len(opened(path)) == 4
  test = opened(path, "test")
  assert len(test) == 2 and test[0]["label"] == 2


NAMED = (("x_{}", "y_{}"), ("X_{}", "y_{}"), ("{}_images", "{}_labels"), ("images_{}", "labels_{}"))


@pytest.mark.parametrize("named", NAMED, ids=lambda named: named[0])
@pytest.mark.parametrize("names", [("train", "val", "test"), ("training", "valid", "testing")])
def test_three_splits_of_one_file_are_known_however_they_are_written(tmp_path, named, names):
  arrays = {}
  for count, name in enumerate(names, 1):
    image, label = (key.format(name) for key in named)
    arrays |= {image: IMAGES[:count], label: LABELS[:count, None]}
  path = saved(tmp_path, **arrays)
  for count, split in enumerate(("train", "validation", "test"), 1):
    source = opened(path, split)
    assert len(source) == count and source[0]["label"] == 2
  with pytest.raises(errors.NoSplit, match="holds no split 'more'"):
    opened(path, "more")


def test_channels_may_come_first(tmp_path):
  source = opened(saved(tmp_path, images=IMAGES.transpose(0, 3, 1, 2)))
  np.testing.assert_array_equal(source[3]["image"], IMAGES[3])
  grey = opened(saved(tmp_path, images=IMAGES[:, None, :, :, 0]))
  np.testing.assert_array_equal(grey[3]["image"][..., 0], IMAGES[3, ..., 0])


def test_grey_images_become_three_equal_channels(tmp_path):
  for grey in (IMAGES[..., 0], IMAGES[..., :1]):
    source = opened(saved(tmp_path, images=grey))
    wanted = np.repeat(IMAGES[1, ..., :1], 3, -1)
    np.testing.assert_array_equal(source[1]["image"], wanted)
    assert source[1]["label"] == -1 and source.num_classes == 0


def test_further_integer_arrays_are_factors_and_can_be_the_label(tmp_path):
  coarse = np.array([1, 1, 0, 0])
  path = saved(tmp_path, images=IMAGES, labels=LABELS, coarse=coarse, weight=np.ones(4))
  source = opened(path)
  assert source.factors.keys() == {"coarse"}
  np.testing.assert_array_equal(source.factors["coarse"], coarse)
  other = opened(path, label="coarse")
  assert other.num_classes == 2 and other[0]["label"] == 1 and other.factors.keys() == {"labels"}


def test_class_names_are_read(tmp_path):
  path = saved(tmp_path, images=IMAGES, labels=LABELS, label_names=np.array(list("abcd")))
  assert opened(path).label_names == ("a", "b", "c", "d") and opened(path).num_classes == 4


@pytest.mark.parametrize(
  ("arrays", "message"),
  [
    ({"labels": LABELS}, "no array 'images' .*but labels"),
    ({"images": IMAGES * 1j}, "images is complex128, and pixels are numbers"),
    ({"images": np.zeros((4, 5, 6, 65), np.uint8)}, r"shape \(4, 5, 6, 65\), not \[n, h, w, 3\]"),
    ({"images": IMAGES[0, 0]}, r"shape \(5, 3\)"),
    ({"images": IMAGES[:0]}, "no pixels"),
    ({"images": IMAGES, "labels": LABELS[:3]}, r"labels has shape \(3,\), not \[4\]"),
    ({"images": IMAGES, "labels": LABELS * 1.0}, "labels is float64, not integer"),
    ({"images": IMAGES, "labels": np.eye(3)[LABELS] * 2}, r"not one 1 beside zeros in each row"),
    ({"images": IMAGES, "labels": np.eye(3)[LABELS] + 1}, r"data.npz.label, or none"),
    ({"images": IMAGES, "labels": np.zeros((4, 3, 2))}, r"\(4, 3, 2\), not \[4\], one for each"),
    (
      {"images": IMAGES, "labels": np.array(list("abca")), "label_names": np.array(["a", "b"])},
      "labels: 'c' is not among label_names; name each class",
    ),
    (
      {"x_train": IMAGES, "y_train": np.array(list("abca")), "y_test": LABELS, "x_test": IMAGES},
      "y_train are texts, and the labels of another split are int64: every split must number",
    ),
    (
      {"x_train": IMAGES, "y_train": np.eye(4)[LABELS], "y_val": np.eye(3), "x_val": IMAGES},
      "y_train has 4 columns, and that of another split 3: every split must number classes alike",
    ),
    ({"images": IMAGES, "labels": np.array([b"\xff"] * 4)}, "which is no UTF-8"),
    ({"images": IMAGES, "labels": LABELS - 2}, "goes down to -2"),
    ({"images": IMAGES, "labels": 2**33 + LABELS}, "labels goes up to 8589934594 .*identifiers"),
    ({"images": IMAGES, "labels": np.uint64(2**63) + LABELS.astype(np.uint64)}, "identifiers"),
    ({"images": IMAGES, "labels": LABELS * 2**20}, r"up to 2097152 for 4 images \(3 different"),
    ({"images": IMAGES, "labels": LABELS, "label_names": np.array(["a", "b"])}, "2 names for 3"),
    ({"images": IMAGES, "labels": np.array([{}] * 4)}, "not a .npz file of plain arrays"),
  ],
)
def test_arrays_that_cannot_serve_are_refused(tmp_path, arrays, message):
  with pytest.raises(errors.UserError, match=message):
    opened(saved(tmp_path, **arrays))


def test_files_and_splits_that_are_not_there_are_refused(tmp_path):
  path = saved(tmp_path, images=IMAGES, labels=LABELS)
  with pytest.raises(errors.UserError, match="no split 'test' .*x_test.*{split} in data.npz.path"):
    opened(path, "test")
  with pytest.raises(errors.UserError, match='no file ".*none.npz"; set data.npz.path'):
    opened(tmp_path / "none.npz")
  with pytest.raises(errors.UserError, match="no array 'fine' but images, labels"):
    opened(path, label="fine")
  for name, write in (
    ("text", lambda p: p.write_text("no")),
    ("array", lambda p: np.save(p, LABELS)),
  ):
    write(tmp_path / f"{name}.npy")
    with pytest.raises(errors.UserError, match="not a .npz file"):
      opened(tmp_path / f"{name}.npy")


def test_a_few_images_of_a_large_set_keep_its_class_numbers(tmp_path):
  source = opened(saved(tmp_path, images=IMAGES, labels=np.array([0, 21_842, 7, -1])))
  assert source.num_classes == 21_843 and source[1]["label"] == 21_842


def test_names_of_classes_may_be_bytes_in_utf_8(tmp_path):
  names = np.array([name.encode() for name in ("cat", "dög", "eel", "ant")])
  path = saved(tmp_path, images=IMAGES, labels=LABELS, label_names=names)
  assert opened(path).label_names == ("cat", "dög", "eel", "ant")
  path = saved(tmp_path, images=IMAGES, labels=LABELS, label_names=np.array([b"a", b"\xff", b"c"]))
  with pytest.raises(errors.UserError, match="label_names holds b'.xff', which is no UTF-8; "):
    opened(path)


def test_labels_may_be_true_and_false(tmp_path):
  path = saved(tmp_path, images=IMAGES, labels=LABELS > 0)
  source = opened(path)
  assert source.labels.tolist() == (LABELS > 0).astype(int).tolist() and source.num_classes == 2


def test_numbers_with_the_high_byte_first_are_read(tmp_path):
  """As FITS, MNIST's first files and TIFFs from other machines hold them."""
  deep = np.random.default_rng(0).integers(0, 2**16, (4, 6, 5, 3), np.uint16)
  high = {"images": deep.astype(">u2"), "labels": LABELS.astype(">i4")}
  plain = opened(saved(tmp_path, "low.npz", images=deep, labels=LABELS))
  other = opened(saved(tmp_path, "high.npz", **high))
  assert other.num_classes == 3
  for i in range(4):
    np.testing.assert_array_equal(other[i]["image"], plain[i]["image"])
    assert other[i]["label"] == LABELS[i]


TEXTS = np.array(["dog", "", "ant", "dog"])


@pytest.mark.parametrize("form", [np.asarray, np.char.encode, lambda texts: texts[:, None]])
def test_labels_may_be_texts_which_are_numbered_over_all_splits(tmp_path, form):
  """The test images know classes that sort before and between those of the training images."""
  test = np.array(["cat", "ant", "dog", "bee"])
  one = saved(
    tmp_path, x_train=IMAGES, y_train=form(TEXTS), x_test=IMAGES, y_test=form(test), y_more=LABELS
  )
  saved(tmp_path, "my_Train.npz", images=IMAGES, labels=form(TEXTS))
  saved(tmp_path, "my_Valid.npz", images=IMAGES, labels=form(test))
  for path, splits in ((one, ("train", "test")), (tmp_path / "my_{split}.npz", ("Train", "Valid"))):
    for split, labels in zip(splits, ([3, -1, 0, 3], [2, 0, 3, 1]), strict=True):
      source = opened(path, split)
      assert source.label_names == ("ant", "bee", "cat", "dog") and source.num_classes == 4
      assert [source[i]["label"] for i in range(4)] == source.labels.tolist() == labels


def test_texts_that_are_numbers_come_by_size_and_names_give_another_order(tmp_path):
  numbers = opened(saved(tmp_path, images=IMAGES, labels=np.array(["10", "9", "2", "10"])))
  assert numbers.label_names == ("2", "9", "10") and numbers.labels.tolist() == [2, 1, 0, 2]
  names = np.array(["dog", "None", "ant"])
  named = opened(saved(tmp_path, images=IMAGES, labels=TEXTS, label_names=names))
  assert named.label_names == tuple(names) and named.labels.tolist() == [0, -1, 2, 0]


def test_another_array_of_texts_may_be_the_label(tmp_path):
  for split, kinds in (("train", ["b", "c", "c", "b"]), ("val", ["a", "c", "a", "c"])):
    saved(tmp_path, f"{split}.npz", images=IMAGES, labels=LABELS, kind=np.array(kinds))
  source = opened(tmp_path / "{split}.npz", label="kind")
  assert source.label_names == ("a", "b", "c") and source.labels.tolist() == [1, 2, 2, 1]


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float32])
def test_rows_of_which_one_number_is_1_are_classes(tmp_path, kind):
  path = saved(
    tmp_path, x_train=IMAGES, y_train=np.eye(5)[LABELS].astype(kind), x_test=IMAGES, y_test=LABELS
  )
  source = opened(path)
  assert source.labels.tolist() == LABELS.tolist()
  assert source.num_classes == 5 and source.label_names == (), "a column a class"
  assert opened(path, "test").num_classes == 3


def test_images_of_several_classes_each_can_be_taken_without(tmp_path):
  """As ChestMNIST has them."""
  path = saved(tmp_path, train_images=IMAGES, train_labels=np.ones((4, 14), np.uint8))
  source = opened(path, label="none")
  assert source.num_classes == 0 and source[0]["label"] == -1 and source.factors == {}


def test_images_beside_images_train_are_taken_as_before(tmp_path):
  path = saved(tmp_path, images=IMAGES[:3], labels=LABELS[:3], images_train=IMAGES, images_x=IMAGES)
  assert len(opened(path)) == 3
  with pytest.raises(errors.NoSplit, match="has images_x beside images, which is read as train"):
    opened(path, "x")


def test_trn_and_tst_are_splits_of_a_file_where_nothing_else_is(tmp_path):
  arrays = {"x_trn": IMAGES, "y_trn": LABELS, "x_tst": IMAGES[:2], "y_tst": LABELS[:2]}
  path = saved(tmp_path, **arrays)
  assert [len(opened(path, split)) for split in ("train", "test", "tst")] == [4, 2, 2]
  assert opened(path).labels.tolist() == LABELS.tolist()
  assert len(opened(saved(tmp_path, images=IMAGES[:3], **arrays))) == 3  # as before


def test_an_array_that_may_be_meant_as_labels_is_told_and_can_be_named(tmp_path, caplog):
  """Y_train is none of the usual names: such images were taken without labels, without a word."""
  texts = {"Y_train": TEXTS, "Y_test": np.array(["bee", "ant"])}
  path = saved(tmp_path, X_train=IMAGES, X_test=IMAGES[:2], **texts)
  assert opened(path).num_classes == 0  # as before
  assert "no array of labels, such as y_train, but Y_train: images are taken without" in caplog.text
  assert "set data.npz.label to Y_{split}, or to none" in caplog.text
  caplog.clear()
  train, test = (opened(path, split, label="Y_{split}") for split in ("train", "test"))
  assert train.label_names == test.label_names == ("ant", "bee", "dog")
  assert train.labels.tolist() == [2, -1, 0, 2] and test.labels.tolist() == [1, 0]
  opened(path, label="none")
  opened(saved(tmp_path, images=IMAGES, weight=np.ones(4), label_names=TEXTS))
  assert not caplog.records
