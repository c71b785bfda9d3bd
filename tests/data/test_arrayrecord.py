"""ArrayRecord files of others: what a record may be, and what is refused in a line."""

import logging

import numpy as np
import picture_sets
import pytest
from tensorflow_datasets.proto import tf_example_generated_pb2

from contrastive_jax import data, errors, reading
from contrastive_jax.data import arrayrecord, tf_example


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
  monkeypatch.setattr(reading, "PAUSES_S", (0.0,))


def picture(level):
  return picture_sets.png(np.full((4, 5, 3), level, np.uint8))


def write(path, records):
  picture_sets.write_records(path, records)
  return path


def opened(path, split="train", **options):
  options = {"index": str(path.parent / "index")} | options
  return data.build("arrayrecord", split=split, path=str(path), **options)


def levels(source):
  return [int(source[i]["image"][0, 0, 0]) for i in range(len(source))]


def refused(path, **options):
  with pytest.raises(errors.UserError) as error:
    opened(path, **options)
  assert "\n" not in str(error.value)
  return str(error.value)


def test_examples_are_those_of_protocol_buffers():
  theirs = tf_example_generated_pb2.Example()
  theirs.features.feature["image"].bytes_list.value.extend([b"\xff\0", b"second"])
  theirs.features.feature["label"].int64_list.value.extend([-1, 2**40, 3])
  theirs.features.feature["score"].float_list.value.extend([0.5, -2.0])
  theirs.features.feature["empty"].SetInParent()
  wanted = {
    "image": [b"\xff\0", b"second"],
    "label": [-1, 2**40, 3],
    "score": [0.5, -2.0],
    "empty": [],
  }
  assert tf_example.parse(theirs.SerializeToString()) == wanted
  ours = tf_example_generated_pb2.Example()
  ours.ParseFromString(tf_example.serialise({"image": bytes(300), "label": -7}))
  assert ours.features.feature["image"].bytes_list.value == [bytes(300)]
  assert ours.features.feature["label"].int64_list.value == [-7]


def test_any_change_of_a_record_is_another_record_or_an_error():
  record, rng = tf_example.serialise({"image": b"abc" * 30, "label": 5}), np.random.default_rng(0)
  refused = 0
  for _ in range(2000):
    content = bytearray(record)
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    try:
      tf_example.parse(bytes(content[: rng.integers(1, len(content) + 1)]))
    except (ValueError, KeyError):
      refused += 1
  assert refused > 1000


def test_records_may_be_images_and_nothing_else(tmp_path):
  path = write(tmp_path / "a.arrayrecord", [picture(i) for i in range(3)])
  source = opened(path)
  assert levels(source) == [0, 1, 2] and source.num_classes == 0
  assert levels(source.ahead([2, 0])) == [0, 1, 2]


def test_labels_are_read_once_and_kept_until_a_file_changes(tmp_path, monkeypatch):
  path = tmp_path / "a.arrayrecord"
  write(path, [tf_example.serialise({"image": picture(i), "label": i}) for i in range(3)])
  assert opened(path).labels.tolist() == [0, 1, 2]
  with monkeypatch.context() as patch:
    patch.setattr(arrayrecord, "_labels_of", None)  # it would be called
    assert opened(path).labels.tolist() == [0, 1, 2]
    assert opened(path, label="none").num_classes == 0
  write(path, [tf_example.serialise({"image": picture(i), "label": 4 - i}) for i in range(5)])
  assert opened(path).labels.tolist() == [4, 3, 2, 1, 0]


def test_the_first_record_may_have_no_label(tmp_path):
  rows = [{"image": picture(0)}, {"image": picture(1), "label": 3}, {"image": picture(2)}]
  path = write(tmp_path / "a.arrayrecord", [tf_example.serialise(row) for row in rows])
  for label in ("", "label"):
    assert opened(path, label=label).labels.tolist() == [-1, 3, -1]


def test_records_without_a_label_that_is_known_say_what_they_hold(tmp_path, caplog):
  rows = [tf_example.serialise({"image": picture(i), "kind": i}) for i in range(2)]
  path = write(tmp_path / "a.arrayrecord", rows)
  with caplog.at_level(logging.INFO):
    assert opened(path).num_classes == 0
    assert "have no label: images are taken without labels; features are image, kind" in caplog.text
    caplog.clear()
    assert opened(path, label="kind").num_classes == 2
    opened(write(tmp_path / "b.arrayrecord", [tf_example.serialise({"image": picture(0)})]))
    opened(write(tmp_path / "c.arrayrecord", [picture(0)]))
    opened(path, label="none")
  assert "have no label" not in caplog.text


def test_of_several_labels_the_first_is_taken_and_it_is_said(tmp_path, caplog):
  records = []
  for level in range(3):
    example = tf_example_generated_pb2.Example()
    example.features.feature["image"].bytes_list.value.append(picture(level))
    example.features.feature["label"].int64_list.value.extend([level, 7][: 1 + level % 2])
    records.append(example.SerializeToString())
  path = write(tmp_path / "a.arrayrecord", records)
  for _ in range(2):  # also of labels that are kept
    caplog.clear()
    assert opened(path).labels.tolist() == [0, 1, 2]
    assert "1 record has several values of label" in caplog.text
    assert f"record 1 of {path}" in caplog.text


def test_what_cannot_be_is_refused_with_the_features(tmp_path):
  def of(name, **features):
    return write(tmp_path / name, [tf_example.serialise(features)])

  assert "neither an encoded image nor a tf.train.Example" in refused(
    write(tmp_path / "a.arrayrecord", [b"text"])
  )
  nothing = of("b.arrayrecord", label=1)
  assert "has no image feature (features: label); set data.arrayrecord.image" in refused(nothing)
  one = of("c.arrayrecord", photo=picture(1), kind=b"cat")
  assert levels(opened(one)) == [1] and opened(one).num_classes == 0
  assert "has no feature 'x' (features: kind, photo)" in refused(one, label="x")
  assert opened(one, label="kind").label_names == ("cat",)
  assert "which is no UTF-8" in refused(one, label="photo")
  assert "identifiers" in refused(of("d.arrayrecord", image=picture(1), label=10**10))
  assert "hold no record" in refused(write(tmp_path / "e.arrayrecord", []))


def test_damaged_files_are_named_and_damaged_records_replaced(tmp_path):
  rng = np.random.default_rng(0)
  images = [picture_sets.png(rng.integers(0, 256, (20, 20, 3), np.uint8)) for _ in range(6)]
  path = write(tmp_path / "a.arrayrecord", images)
  content = bytearray(path.read_bytes())
  place = content.index(images[3][50:80])
  content[place] ^= 1
  path.write_bytes(content)
  source = opened(path)
  for near in (source, source.ahead([2, 3, 4])):
    with pytest.raises(data.Unreadable, match=f"record 3 of {path}"):
      near[3]
    assert near[4]["image"].shape == (20, 20, 3)
  path.write_bytes(content[:-100])
  assert f"{path} is no whole ArrayRecord file" in refused(path)
