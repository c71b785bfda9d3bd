"""Prepared TFDS sets, on real images: the same pixels as from a folder and from arrays.

One file for all that reads the sets of its fixtures, which are prepared once.
"""

import importlib
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from contrastive_jax import data, errors
from contrastive_jax.data import identity, pipeline, subset

SIZES = {"train": 96, "test": 32}


def _import_prepare(shared_data):
  """Imports the script beside the images; it writes a set as TFDS's own builders do."""
  sys.path.insert(0, str(shared_data))
  try:
    return importlib.import_module("prepare_cifar"), importlib.import_module("imgpack")
  finally:
    sys.path.remove(str(shared_data))


@pytest.fixture(scope="module")
def prepared(shared_data, tmp_path_factory):
  """A folder with 128 images of CIFAR-100 prepared three ways, and the arrays themselves."""
  script, imgpack = _import_prepare(shared_data)
  root = tmp_path_factory.mktemp("cifar")
  images, labels, extra = imgpack.load(shared_data / "cifar100-test.npz")
  chosen = np.random.default_rng(0).permutation(len(images))[: sum(SIZES.values())]
  images, labels, coarse = images[chosen], labels[chosen].astype(np.int64), extra["coarse"][chosen]
  names, coarse_names = ([str(n) for n in extra[key]] for key in ("names", "coarse_names"))
  parts = {"train": slice(0, SIZES["train"]), "test": slice(SIZES["train"], None)}
  splits = {split: (images[p], labels[p], coarse[p]) for split, p in parts.items()}
  script.write_tfds("cifar100", splits, names, coarse_names, root)
  return root, splits, names


def opened(prepared, split="train", **options):
  return data.build("tfds", split=split, **{"name": "cifar100", "path": str(prepared[0])} | options)


def rows(images):
  return {image.tobytes(): i for i, image in enumerate(images)}


def test_without_tensorflow_datasets_the_extra_is_named(monkeypatch):
  monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
  with pytest.raises(errors.UserError, match=r"tensorflow_datasets.* pip install -e '.\[tfds\]'"):
    data.build("tfds", split="train", name="cifar10")


def test_records_hold_the_exact_pixels_and_labels(prepared):
  _, splits, names = prepared
  for split, n in SIZES.items():
    source = opened(prepared, split)
    images, labels, _ = splits[split]
    where = rows(images)
    assert len(source) == n and source.native_size_px == 32
    assert source.num_classes == 100 and source.label_names == tuple(names)
    found = [where[source[i]["image"].tobytes()] for i in range(n)]
    assert sorted(found) == list(range(n))
    assert [source[i]["label"] for i in range(n)] == labels[found].tolist()
    assert [source[i]["index"] for i in range(n)] == list(range(n))


def test_tfds_folder_and_npz_give_identical_batches(prepared, tmp_path):
  script = sys.modules["prepare_cifar"]
  for split in SIZES:
    source = opened(prepared, split)
    images = np.stack([source[i]["image"] for i in range(len(source))])
    labels = np.array([source[i]["label"] for i in range(len(source))])
    np.savez(tmp_path / f"cifar_{split}.npz", images=images, labels=labels)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
      path = tmp_path / split / f"{label:02d}" / f"{i:05d}.png"
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_bytes(script.png(image).read())
  for split in SIZES:
    in_records = opened(prepared, split)
    in_array = data.build("npz", split=split, path=str(tmp_path / "cifar_{split}.npz"))
    in_files = data.build("folder", split=split, path=str(tmp_path))
    # A folder has an order of its own: sorted by class.
    place = {int(pathlib.Path(path).stem): i for i, path in enumerate(in_files.paths)}
    for cache in ("none", "memory"):
      options = {"batch_size": 16, "host_size_px": 32, "cache": cache}
      batches, others, files = (
        list(pipeline.eval_batches(source, **options))
        for source in (in_records, in_array, in_files)
      )
      filed = {k: np.concatenate([batch[k] for batch in files]) for k in files[0]}
      # It numbers the classes of which it has images, the set all of them.
      filed["label"] = np.array([int(name) for name in in_files.label_names])[filed["label"]]
      for batch, other in zip(batches, others, strict=True):
        slots = [place[i] for i in batch["index"].tolist()]
        for key in batch:
          np.testing.assert_array_equal(batch[key], other[key])
          if key != "index":
            np.testing.assert_array_equal(batch[key], filed[key][slots])


@pytest.mark.parametrize(
  "one, other, count",
  [
    ("train", "test", 0),
    ("train[:64]", "train[:32]", 32),
    ("train[:64]", "train[64:]", 0),
    ("train[:50%]", "train[47:49]", 1),
    ("test+train[:10]", "train[5:]+test[30:]", 7),
    ("train[-10:]", "train", 10),
  ],
)
def test_slices_share_the_records_that_both_name(prepared, one, other, count):
  first, second = opened(prepared, one), opened(prepared, other)
  assert first.in_common(second) == second.in_common(first) == count
  in_one = rows(first[i]["image"] for i in range(len(first)))
  assert sum(second[i]["image"].tobytes() in in_one for i in range(len(second))) == count


def test_reading_ahead_changes_nothing_and_survives_a_damaged_record(prepared):
  source = opened(prepared)
  near = source.ahead([5, 2, 7])
  assert len(near) == len(source)
  for i in (2, 3, 5, 7):
    np.testing.assert_array_equal(near[i]["image"], source[i]["image"])
    assert near[i]["label"] == source[i]["label"]

  class OneByOne(list):
    def __getitems__(self, indices):
      raise OSError("a chunk is damaged")

  source._records = OneByOne(source._records[i] for i in range(4))
  np.testing.assert_array_equal(source.ahead([1, 2])[2]["image"], source[2]["image"])


def test_slices_take_part_of_a_split(prepared):
  whole = opened(prepared)
  for split, expected in (
    ("train[:10]", range(10)),
    ("train[-3:]", range(93, 96)),
    ("train[25%:50%]", range(24, 48)),
  ):
    part = opened(prepared, split)
    assert len(part) == len(expected)
    for i, j in enumerate(expected):
      np.testing.assert_array_equal(part[i]["image"], whole[j]["image"])
      assert part[i]["index"] == i
  assert len(opened(prepared, "train+test")) == 128


def test_another_feature_can_be_the_label(prepared):
  _, splits, _ = prepared
  images, _, coarse = splits["test"]
  source, where = opened(prepared, "test", label="coarse_label"), rows(images)
  assert source.num_classes == 20
  for i in range(len(source)):
    assert source[i]["label"] == coarse[where[source[i]["image"].tobytes()]]


def test_no_tensorflow_is_imported(prepared, tmp_path):
  (tmp_path / "tensorflow.py").write_text("raise SystemExit('tensorflow was imported')")
  code = (
    "import sys\n"
    f"sys.path.insert(0, {str(tmp_path)!r})\n"
    "from contrastive_jax import data\n"
    f"source = data.build('tfds', split='test', name='cifar100', path={str(prepared[0])!r})\n"
    "assert source[3]['image'].shape == (32, 32, 3)\n"
    "assert 'tensorflow' not in sys.modules and 'jax' not in sys.modules\n"
  )
  done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
  assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["mnist", "cifar10", "cifar100:9.9.9", "cifar100/small"])
def test_a_set_that_is_not_prepared_is_refused_with_the_remedy(prepared, name):
  remedy = (
    r"no prepared .* pip install -e '.\[prepare\]', then in Python: tensorflow_datasets.builder\("
    rf'"{name.partition(":")[0]}", data_dir=".*", file_format="array_record"\)'
  )
  with pytest.raises(errors.UserError, match=remedy):
    opened(prepared, name=name)


def test_the_newest_version_is_taken_unless_one_is_named(prepared, tmp_path):
  for version in ("3.0.2", "10.0.0", "9.0.0"):
    folder = tmp_path / "cifar100" / version
    folder.mkdir(parents=True)
    for file in (prepared[0] / "cifar100" / "3.0.2").iterdir():
      content = file.read_bytes()
      if file.name == "dataset_info.json":
        info = json.loads(content)
        info["version"] = version
        content = json.dumps(info).encode()
      (folder / file.name).write_bytes(content)
  (tmp_path / "cifar100" / "incomplete.X_99.0.0").mkdir()
  newest = data.build("tfds", split="test", name="cifar100", path=str(tmp_path))
  named = data.build("tfds", split="test", name="cifar100:9.0.0", path=str(tmp_path))
  assert "10.0.0" in str(newest._records.dataset_info.version)
  assert "9.0.0" in str(named._records.dataset_info.version)


@pytest.mark.parametrize("name", ["", "cifar100", "cifar100:3.0.2"])
def test_the_folder_of_a_version_is_read_by_itself(prepared, name):
  folder = prepared[0] / "cifar100" / "3.0.2"
  source, other = opened(prepared, name=name, path=str(folder)), opened(prepared)
  assert len(source) == len(other) and source.label_names == other.label_names
  np.testing.assert_array_equal(source[5]["image"], other[5]["image"])


@pytest.mark.parametrize("name", ["cifar10", "cifar100:1.0.0", "cifar100/small"])
def test_the_folder_of_another_set_is_refused(prepared, name):
  with pytest.raises(errors.UserError, match=f"holds cifar100/3.0.2, not {name}; set data.tfds"):
    opened(prepared, name=name, path=str(prepared[0] / "cifar100" / "3.0.2"))


def test_a_set_in_another_format_is_refused_with_the_remedy(prepared, tmp_path):
  folder = tmp_path / "cifar100" / "3.0.2"
  folder.mkdir(parents=True)
  for file in (prepared[0] / "cifar100" / "3.0.2").glob("*.json"):
    text = file.read_text().replace("array_record", "tfrecord")
    (folder / file.name).write_text(text)
  with pytest.raises(errors.UserError, match="as tfrecord, not array_record; prepare it once"):
    opened((tmp_path,))


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"split": "validation"}, "no split 'validation' .*it has train, test"),
    ({"split": "train[:10"}, "no split 'train"),
    ({"image": "picture"}, "no image feature 'picture' but image; set data.tfds.image"),
    ({"label": "id"}, "'id' is no class but Text in .*; set it to coarse_label or label, or"),
    ({"name": ""}, "set data.tfds.name"),
  ],
)
def test_bad_values_are_refused(prepared, options, message):
  with pytest.raises(errors.UserError, match=message):
    opened(prepared, **options)


@pytest.mark.parametrize("kind", ["scalar.Scalar", "text_feature.Text"])
def test_a_label_that_is_no_class_leaves_the_images_without_labels(
  prepared, tmp_path, caplog, kind
):
  """As in sets of faces or of measurements: pre-training needs none."""
  shutil.copytree(prepared[0] / "cifar100", tmp_path / "cifar100")
  [path] = tmp_path.rglob("features.json")
  features = json.loads(path.read_text())
  name, tensor = f"tensorflow_datasets.core.features.{kind}", {"shape": {}, "encoding": "none"}
  features["featuresDict"]["features"]["label"] = {"pythonClassName": name} | (
    {"text": {}} if "text" in kind else {"tensor": tensor | {"dtype": "int64"}}
  )
  path.write_text(json.dumps(features))
  source = opened((tmp_path,))
  assert source.num_classes == 0 and source[0]["label"] == -1
  assert "label of cifar100 is no class" in caplog.text
  assert opened((tmp_path,), label="coarse_label").num_classes == 20
  with pytest.raises(errors.UserError, match="'label' is no class but .*; set it to coarse_label"):
    opened((tmp_path,), label="label")


def test_a_share_of_a_prepared_set_is_the_same_of_every_class(prepared):
  source = opened(prepared, label="coarse_label")
  labels = np.array([source[i]["label"] for i in range(len(source))])
  assert source.read_labels().tolist() == labels.tolist()
  part = subset.share(source, 0.5)
  counts = np.bincount([part[i]["label"] for i in range(len(part))], minlength=20)
  whole = np.bincount(labels, minlength=20)
  assert (np.abs(counts - np.maximum(whole / 2, whole > 0)) <= 0.5).all()


def test_a_damaged_record_is_unreadable(prepared):
  source = opened(prepared)
  source._records = [source._records[i][: -300 if i == 4 else None] for i in range(5)]
  np.testing.assert_array_equal(source[3]["image"], opened(prepared)[3]["image"])
  with pytest.raises(data.Unreadable, match=r"record 4 of .*/cifar100-train.array_record-\S+: "):
    source[4]


@pytest.mark.slow
def test_worker_processes_read_the_same_records(prepared):
  options = {"batch_size": 32, "seed": 0, "total_steps": 4, "cache": "none"}
  batches = list(pipeline.train_batches(opened(prepared), **options))
  others = list(pipeline.train_batches(opened(prepared), num_workers=2, **options))
  for batch, other in zip(batches, others, strict=True):
    for key in batch:
      np.testing.assert_array_equal(batch[key], other[key])


@pytest.mark.slow
def test_the_whole_test_split_of_cifar10_is_read_exactly(shared_data, tmp_path):
  script, imgpack = _import_prepare(shared_data)
  images, labels, extra = imgpack.load(shared_data / "cifar10-test.npz")
  splits = {"test": (images, labels.astype(np.int64), None)}
  script.write_tfds("cifar10", splits, [str(n) for n in extra["names"]], (), tmp_path)
  source = data.build("tfds", split="test", name="cifar10", path=str(tmp_path))
  seen = {}
  for batch in pipeline.eval_batches(source, batch_size=1000):
    for image, label in zip(batch["image"], batch["label"], strict=True):
      seen.setdefault(image.tobytes(), []).append(int(label))
  wanted = {}
  for image, label in zip(images, labels, strict=True):
    wanted.setdefault(image.tobytes(), []).append(int(label))
  assert {k: sorted(v) for k, v in seen.items()} == {k: sorted(v) for k, v in wanted.items()}


def test_a_prepared_set_is_known_by_name_version_and_features(prepared):
  known = identity.of(opened(prepared))
  assert known["content"] == "cifar100/3.0.2 image label" and known["images"] == SIZES["train"]
  coarse = identity.of(opened(prepared, label="coarse_label"))
  assert identity.differences(known, coarse)[0] == "classes 100 -> 20"
