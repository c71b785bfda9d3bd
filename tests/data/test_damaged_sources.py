"""Damaged and lying files end in the right images or in one line that names the file."""

import copy
import io
import json
import os
import re
import zipfile

import numpy as np
import prepared_sets
import pytest
from PIL import Image

from contrastive_jax import data, errors, reading, slow
from contrastive_jax.data import images, pipeline, unreadable

VALUES = (None, -1, 0, 2, "2", 2**31, str(2**63), "x", "", [], {}, ["x"], 1.5, True)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
  monkeypatch.setattr(reading, "PAUSES_S", (0.0,))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
  root = tmp_path_factory.mktemp("prepared")
  return root, prepared_sets.write(root)


def outcome(root):
  """Reads the whole set; returns what it was refused with, "" if the images are right."""
  wanted, labels = prepared_sets.pictures()["train"]
  try:
    source = data.build("tfds", split="train", name="tiny", path=str(root))
    batches = list(pipeline.eval_batches(source, batch_size=8, host_size_px=6, cache="none"))
  except errors.UserError as error:
    assert "\n" not in str(error)
    return str(error)
  found = {key: np.concatenate([b[key] for b in batches]) for key in batches[0]}
  assert found["mask"].sum() == len(wanted)
  kept = found["replaced"] == 0
  np.testing.assert_array_equal(found["image"][kept], wanted[kept])
  np.testing.assert_array_equal(found["label"][kept], labels[kept])
  return "" if kept.all() else "replaced"


def places(tree, path=()):
  for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
    yield (*path, key)
    if isinstance(value, dict | list):
      yield from places(value, (*path, key))


def changed(tree, path, value):
  tree = copy.deepcopy(tree)
  part = tree
  for key in path[:-1]:
    part = part[key]
  part[path[-1]] = value
  return tree


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
def test_any_field_of_another_value_gives_the_right_images_or_a_line(prepared, name):
  root, folder = prepared
  path, rng = folder / name, np.random.default_rng(0)
  before = path.read_text()
  tree = json.loads(before)
  try:
    for place in places(tree):
      for value in rng.choice(len(VALUES), 3, replace=False):
        path.write_text(json.dumps(changed(tree, place, VALUES[value])))
        outcome(root)
    for content in (b"", before.encode()[:50], b"[]", b"3", b"null", b"\xff\0"):
      path.write_bytes(content)
      assert outcome(root)
  finally:
    path.write_text(before)
  assert not outcome(root)


def test_half_of_the_records_are_not_taken_for_all(prepared):
  root, folder = prepared
  path = folder / "dataset_info.json"
  before = path.read_text()
  path.write_text(before.replace('"4"', '"2"'))
  try:
    assert "holds 4 records, and dataset_info.json says 2" in outcome(root)
  finally:
    path.write_text(before)


@pytest.mark.parametrize("count, said", [(2**31, "2,147,483,648 classes"), (2, "names 3 classes")])
def test_a_number_of_classes_that_cannot_be_is_refused(prepared, count, said):
  root, folder = prepared
  path = folder / "features.json"
  before = path.read_text()
  path.write_text(before.replace('"numClasses": "3"', f'"numClasses": "{count}"'))
  try:
    assert said in outcome(root)
  finally:
    path.write_text(before)


TRAIN = ("splits", 0)
SHARDS = "{DATASET}-{SPLIT}.{FILEFORMAT}"


@pytest.mark.parametrize(
  "place, value, said",
  [
    ((*TRAIN, "shardLengths"), [], "gives 'train' no record"),
    ((*TRAIN, "shardLengths"), ["-4", "12"], "split 'train' has -4 records"),
    ((*TRAIN, "shardLengths"), ["4", "0"], "00001-of-00002 holds 4 records, and .* says 0"),
    ((*TRAIN, "shardLengths"), ["4"], "there is no .*array_record-00000-of-00001"),
    ((*TRAIN, "name"), "trian", "has no split 'train' .* names .*tiny-trian.* which is not there"),
    ((*TRAIN, "name"), "test", "names the split 'test' twice"),
    ((*TRAIN, "filepathTemplate"), "x", "two shards are the same file, .*/x;"),
    ((*TRAIN, "filepathTemplate"), f"{SHARDS}-00000-of-00002", "the same file, .*00000-of-00002"),
    (("splits", 1, "filepathTemplate"), "{DATASET}-train.{FILEFORMAT}-00000-of-00002", "the same"),
    ((*TRAIN, "filepathTemplate"), "{FOO}", "filepathTemplate of the split 'train' names no files"),
    (("splits",), [], "names no split"),
    (("version",), "2.0.0", "is of version 2.0.0"),
  ],
)
def test_what_is_wrong_with_the_splits_is_told_with_the_file(prepared, place, value, said):
  root, folder = prepared
  path = folder / "dataset_info.json"
  before = path.read_text()
  path.write_text(json.dumps(changed(json.loads(before), place, value)))
  try:
    told = outcome(root)
    assert re.search(said, told) and str(folder) in told, told
  finally:
    path.write_text(before)


def test_a_shard_without_records_may_be_there(tmp_path, monkeypatch):
  monkeypatch.setattr(prepared_sets, "SHARDS", {"train": (8, 0), "test": (4,)})
  prepared_sets.write(tmp_path)
  assert not outcome(tmp_path)


def test_a_class_that_is_named_twice_is_refused(prepared):
  root, folder = prepared
  path = folder / "label.labels.txt"
  before = path.read_text()
  path.write_text(before.replace("bee", "ant"))
  try:
    assert f"{path} names the class 'ant' twice" in outcome(root)
  finally:
    path.write_text(before)


def test_labels_that_the_features_have_lost_are_missed(prepared):
  root, folder = prepared
  path = folder / "features.json"
  before = path.read_text()
  path.write_text(before.replace('"label":', '"lacel":'))
  try:
    assert "label.labels.txt, and features.json in the same folder has no feature label" in outcome(
      root
    )
  finally:
    path.write_text(before)


def test_a_bit_of_a_shard_is_no_other_image_and_its_record_is_named(prepared):
  root, folder = prepared
  path, rng = folder / "tiny-train.array_record-00001-of-00002", np.random.default_rng(0)
  before = path.read_bytes()
  held = np.flatnonzero(np.frombuffer(before, np.uint8))  # the rest is padding
  outcomes = set()
  try:
    for place in rng.choice(held, 40, replace=False):
      content = bytearray(before)
      content[place] ^= 1 << rng.integers(8)
      path.write_bytes(content)
      outcomes.add(told := outcome(root))
      assert told in ("", "replaced") or str(path) in told
    content = bytearray(before)
    content[before.index(b"PNG")] ^= 1
    path.write_bytes(content)
    source = data.build("tfds", split="train", name="tiny", path=str(root))
    with pytest.raises(data.Unreadable, match=f"record 0 of {path}: "):
      source[4]
  finally:
    path.write_bytes(before)
  assert "replaced" in outcomes


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "fifo"])
def test_a_damaged_file_of_records_is_named(prepared, damage):
  root, folder = prepared
  path = folder / "tiny-train.array_record-00001-of-00002"
  before = path.read_bytes()
  path.unlink()
  if damage == "fifo":
    os.mkfifo(path)
  elif damage != "gone":
    path.write_bytes(before[: len(before) // 2 if damage == "cut" else 0])
  try:
    assert path.name in outcome(root)
  finally:
    path.unlink(missing_ok=True)
    path.write_bytes(before)


def test_a_damaged_npz_is_refused_in_a_line(tmp_path):
  pixels, path = np.zeros((4, 6, 6, 3), np.uint8), tmp_path / "set.npz"
  np.savez_compressed(path, images=pixels, labels=np.arange(4))
  whole, rng = path.read_bytes(), np.random.default_rng(0)
  for _ in range(300):
    content = bytearray(whole)
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    path.write_bytes(bytes(content) if rng.integers(4) else whole[: rng.integers(len(whole))])
    try:
      source = data.build("npz", split="train", path=str(path))
    except errors.UserError as error:
      assert str(path) in str(error) and "\n" not in str(error)
    else:
      assert not np.stack([source[i]["image"] for i in range(4)]).any()


@pytest.mark.parametrize("shape", [(10**6, 10**6, 6, 3), (-4, 6, 6, 3), (5, 6, 6, 3)])
def test_an_array_that_claims_another_size_is_not_believed(tmp_path, shape):
  content = io.BytesIO()
  header = {"descr": "|u1", "fortran_order": False, "shape": shape}
  np.lib.format.write_array_header_1_0(content, header)
  with zipfile.ZipFile(tmp_path / "set.npz", "w") as file:
    file.writestr("images.npy", content.getvalue() + bytes(4 * 6 * 6 * 3))
  with pytest.raises(errors.UserError, match=r"set.npz is not .*images.npy claims"):
    data.build("npz", split="train", path=str(tmp_path / "set.npz"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_array_or_a_class_that_comes_twice_is_refused(tmp_path):
  images, path = np.zeros((2, 6, 6, 3), np.uint8), tmp_path / "set.npz"
  named = {"label_names": ["ant", "bee", "ant"]}
  np.savez(path, images=images, labels=np.arange(2), **named)
  with pytest.raises(errors.UserError, match=f"{path}: label_names holds 'ant' twice"):
    data.build("npz", split="train", path=str(path))
  np.savez(path, images=images)
  with zipfile.ZipFile(path, "a") as file:
    file.writestr("images.npy", file.read("images.npy"))
  with pytest.raises(errors.UserError, match=f"{path} is not .*it holds images.npy twice"):
    data.build("npz", split="train", path=str(path))


@pytest.mark.parametrize("source", ["npz", "tfds", "folder"])
def test_what_a_source_reads_without_an_end_is_named(tmp_path, monkeypatch, source):
  """As a file of a kernel or a mount does that looks like any other."""
  if source == "npz":
    path = tmp_path / "set.npz"
    np.savez(path, images=np.zeros((2, 6, 6, 3), np.uint8))
    place, name, options = np, "load", {"path": str(path)}
  elif source == "tfds":
    path = prepared_sets.write(tmp_path)
    place, name, options = "tensorflow_datasets", "builder_from_directory", {"path": str(path)}
    place = pytest.importorskip(place)
  else:
    path = tmp_path / "ant"
    path.mkdir()
    Image.new("RGB", (6, 6)).save(path / "1.png")
    place, name, options, path = os, "scandir", {"path": str(tmp_path)}, tmp_path
  seen, true = [], getattr(place, name)

  def looked_at(*args, **kwargs):
    seen.extend(slow.lasting(0.0))
    return true(*args, **kwargs)

  monkeypatch.setattr(place, name, looked_at)
  data.build(source, split="train", **options)
  assert seen and all(str(path) in what for what, _ in seen), seen


def test_records_that_are_read_are_named(prepared, monkeypatch):
  root, folder = prepared
  source, seen = data.build("tfds", split="train", name="tiny", path=str(root)), []
  true = source._records

  class Watched:
    def __getitem__(self, index):
      seen.extend(slow.lasting(0.0))
      return true[index]

    def __getitems__(self, indices):
      seen.extend(slow.lasting(0.0))
      return true.__getitems__(indices)

  source._records = Watched()
  source[5], source.ahead([2, 3])
  path = folder / "tiny-train.array_record-0000"
  assert [what for what, _ in seen] == [
    f"record 1 of {path}1-of-00002",
    f"record 2 of {path}0-of-00002, and others",
  ]


def test_only_regular_files_are_opened(tmp_path):
  os.mkfifo(tmp_path / "a.png")
  for path, what in ((tmp_path / "a.png", "a FIFO"), (os.devnull, "a device")):
    with pytest.raises(data.Unreadable, match=f"{path}: it is {what}; only regular files"):
      images.read(str(path))


def test_formats_that_start_other_programs_are_not_asked_for():
  page = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n"
  assert Image.open(io.BytesIO(page)).format == "EPS"  # only its header is read here
  with pytest.raises(data.Unreadable, match="no image of a format"):
    images.decode(page)


def test_large_images_are_decoded_small_or_refused():
  def encoded(kind, **options):
    buffer = io.BytesIO()
    Image.new("RGB", (1600, 1000), (200, 100, 0)).save(buffer, kind, **options)
    return buffer.getvalue()

  small = images.decode(encoded("JPEG"), max_megapixels=1)
  assert small.shape == (500, 800, 3) and abs(small.astype(int) - (200, 100, 0)).max() <= 6
  for content in (encoded("PNG"), encoded("JPEG", progressive=True)):
    assert images.decode(content, max_megapixels=2).shape == (1000, 1600, 3)
    with pytest.raises(data.Unreadable, match="1600 x 1000 = 2 megapixels .*max_megapixels 1.*GB"):
      images.decode(content, "x.png", max_megapixels=1)


def test_strips_of_a_large_image_are_its_pixels(monkeypatch):
  pixels = np.random.default_rng(0).integers(0, 256, (33, 9, 4), np.uint8)
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, "PNG")
  whole = images.decode(buffer.getvalue())
  monkeypatch.setattr(images, "_STRIP_PIXELS", 50)
  np.testing.assert_array_equal(images.decode(buffer.getvalue()), whole)


def test_a_read_that_lasts_is_named():
  with slow.named("a folder"), slow.named("a/file.png"):
    assert [what for what, _ in slow.lasting(0.0)] == ["a/file.png"]
  assert not slow.lasting(0.0)


def test_ten_unreadable_images_are_named_and_all_are_listed(tmp_path, caplog):
  path = tmp_path / "unreadable.txt"
  told = unreadable.Told(str(path))
  for number in range(1, 15):
    told.tell(f"{number}.png: of no\nkind", number)
  assert len(caplog.messages) == unreadable.NAMED + 1 and str(path) in caplog.messages[-1]
  assert path.read_text().splitlines() == [f"{n}.png: of no kind" for n in range(1, 15)]
  again = unreadable.Told(str(path))  # the run is started again
  again.tell("3.png: of no kind", 1)
  assert len(caplog.messages) == unreadable.NAMED + 1
  assert len(path.read_text().splitlines()) == 14
