"""Images in buckets: the same as in a local folder, kept on this host up to a size."""

import io
import pathlib
import pickle

import cloudpickle
import numpy as np
import picture_sets
import pytest
from bucket_servers import on_s3_slowly as pytest_generate_tests  # noqa: F401
from PIL import Image

from contrastive_jax import data, errors, paths
from contrastive_jax.buckets import objects
from contrastive_jax.buckets.address import parsed
from contrastive_jax.data import identity, preparing


def png(seed):
  pixels = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
  encoded = io.BytesIO()
  Image.fromarray(pixels).save(encoded, "PNG")
  return encoded.getvalue()


FILES = {
  f"{split}/{kind}/{n}.png": png(n)
  for split in ("train", "test")
  for kind in "ab"
  for n in range(3)
}
FILES |= {"train/.hidden/x.png": png(0), "train/a/notes.txt": b"", "train/b/deep/9.PNG": png(9)}


@pytest.fixture
def set_of_images(server, tmp_path):
  """The same files in a bucket and in a local folder."""
  place = objects.Objects(parsed(server.address("set"), "path"))
  for name, content in FILES.items():
    place.put(name, content)
    path = tmp_path / "set" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
  server.requests.clear()
  return str(place.address), str(tmp_path / "set")


def reads(server):
  return sum(".png" in path.lower() and method == "GET" for method, path in server.requests)


def listings(server):
  """How often the bucket was asked what is in it; an object alone is looked for likewise on S3."""
  return sum("prefix=" in path and method == "GET" for method, path in server.requests)


def assert_same(source, twin):
  assert len(source) == len(twin) and source.label_names == twin.label_names
  for one, other in ((source[i], twin[i]) for i in range(len(twin))):
    np.testing.assert_array_equal(one["image"], other["image"])
    assert (one["label"], one["index"]) == (other["label"], other["index"])


def test_a_folder_in_a_bucket_is_that_of_a_disk(server, set_of_images):
  for split in ("train", "test"):
    source, twin = (data.build("folder", split=split, path=path) for path in set_of_images)
    assert_same(source, twin)
    assert identity.of(source) == identity.of(twin)
  with pytest.raises(errors.UserError, match="has no sub-folder 'nothing' but test, train"):
    data.build("folder", split="nothing", path=set_of_images[0])


@pytest.mark.parametrize(
  ("source", "split", "options"),
  [
    ("folder", "train", {}),
    ("folder", "train+test", {}),
    ("folder", "train", {"labels": "path"}),
    ("table", "train+test", {}),
  ],
)
def test_a_set_in_a_bucket_is_listed_once(source, split, options, server, set_of_images):
  address = set_of_images[0]
  named = [name for name in FILES if name.endswith("0.png")]
  text = "path,split\n" + "".join(f"{name},{name.split('/')[0]}\n" for name in named)
  objects.Objects(parsed(address, "path")).put("list.csv", text.encode())
  server.requests.clear()
  path = address + ("/list.csv" if source == "table" else "")
  with data.one_look():
    data.build(source, split=split, path=path, **options)
    data.build(source, split="test", path=path, **options)
  assert listings(server) == 1, server.requests


# As they are downloaded, beside a list of one's own.
TINY_IMAGENET = {
  "train/n1/images/a.png": png(1),
  "train/n2/images/b.png": png(2),
  "val/images/c.png": png(3),
  "val/val_annotations.txt": b"c.png\tn2\t0\t0\t1\t1\n",
  "test/images/d.png": png(4),
  "list.csv": b"path,label,split\ntrain/n2/images/b.png,bee,train\nval/images/c.png,ant,train\n",
}


def put_in_both(place, folder, files):
  """Writes files into a bucket and into a folder of this host."""
  for name, content in files.items():
    place.put(name, content)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


@pytest.mark.parametrize(
  ("source", "split", "options"),
  [
    ("folder", "train", {}),
    ("folder", "val", {}),
    ("folder", "test", {}),
    ("folder", "train[:50%]", {"labels": "path"}),
    ("folder", "train", {"layout": "plain"}),
    ("table", "train", {}),
    ("table", "test", {"holdout": 0.5}),
  ],
)
def test_layouts_and_lists_in_a_bucket_are_read_as_on_a_disk(
  source, split, options, server, tmp_path
):
  place = objects.Objects(parsed(server.address("tiny"), "path"))
  put_in_both(place, tmp_path, TINY_IMAGENET)
  file = "/list.csv" if source == "table" else ""
  paths = f"{place.address}{file}", f"{tmp_path}{file}"
  here, there = (data.build(source, split=split, path=path, **options) for path in paths)
  assert_same(here, there)
  assert identity.of(here) == identity.of(there)


AROUND = {f"set/inner/{s}/{kind}/{s}.png": png(1) for s in ("train", "dev") for kind in "ab"}
LISTED = {"train/1.png": png(1), "train/2.png": png(2), "test/1.png": png(3)}
LISTED |= {
  "train/metadata.csv": b"file_name,label\n1.png,ant\n2.png,bee\n",
  "test/metadata.csv": b"file_name,label\n1.png,bee\n",
}


@pytest.mark.parametrize(
  ("files", "splits", "options"),
  [
    (AROUND, ("train", "val"), {}),
    ({f"2750/{kind}/1.png": png(1) for kind in "ab"}, ("train",), {}),
    (LISTED, ("train", "test"), {"labels": "metadata.csv"}),
    (LISTED, ("train", "test"), {}),
  ],
  ids=["splits", "classes", "lists", "lists that are told"],
)
def test_what_lies_around_and_beside_in_a_bucket_is_as_on_a_disk(
  files, splits, options, server, tmp_path
):
  place = objects.Objects(parsed(server.address("around"), "path"))
  put_in_both(place, tmp_path, files)
  for split in splits:
    here, there = (
      data.build("folder", split=split, path=path, **options)
      for path in (str(place.address), str(tmp_path))
    )
    assert_same(here, there)
    assert here.num_classes == (2 if options or files is not LISTED else 0)


NUMBERED = {f"{split}/{i}.png": png(i) for split in ("train", "test") for i in (1, 2)}
NUMBERED |= {"trainLabels.csv": b"id,label\n1,ant\n2,bee\n"}
TEXTURES = {f"x/dtd/images/{kind}/{i}.png": png(i) for kind in ("ant", "bee") for i in (1, 2, 3)}
TEXTURES |= {
  f"x/dtd/labels/{name}1.txt": b"ant/%d.png\r\nbee/%d.png\r\n" % (i, i)
  for i, name in enumerate(("train", "val", "test"), 1)
}
TEXTURES |= {"x/dtd/labels/labels_joint_anno.txt": b"\n"}


@pytest.mark.parametrize(
  ("files", "split", "options", "line"),
  [
    (NUMBERED, "test", {"labels": "trainLabels.csv"}, "trainLabels.csv names images of other sp"),
    (TEXTURES, "train", {}, "if it is that set let data.folder.path={}/x"),
  ],
  ids=["a list of one split", "a known set that lies deeper"],
)
def test_what_is_told_of_a_folder_is_told_of_a_bucket(
  files, split, options, line, server, tmp_path, caplog
):
  place = objects.Objects(parsed(server.address("told"), "path"))
  put_in_both(place, tmp_path, files)
  for path in (str(place.address), str(tmp_path)):
    caplog.clear()
    data.build("folder", split=split, path=path, **options)
    assert line.format(path) in caplog.text
  if files is TEXTURES:
    here, there = (
      data.build("folder", split="test", path=f"{path}/x") for path in (place.address, tmp_path)
    )
    assert_same(here, there)
    assert len(here) == here.num_classes == 2


def test_a_list_in_a_bucket_names_what_is_missing(server):
  place = objects.Objects(parsed(server.address("lists"), "path"))
  place.put("list.csv", b"path\na.png\ngone.png\n")
  place.put("a.png", png(1))
  with pytest.raises(errors.UserError, match=r"1 of the 2 images .* \(line 3: gone.png\)"):
    data.build("table", split="train", path=f"{place.address}/list.csv")
  with pytest.raises(errors.Absent, match="no file .*other.csv"):
    data.build("table", split="train", path=f"{place.address}/other.csv")


def test_files_are_read_once_and_no_more_is_kept_than_asked_for(server, set_of_images):
  sizes = sorted(len(FILES[f"train/a/{n}.png"]) for n in range(3))
  for keep, again in ((50.0, 0), (sum(sizes) / 1e9, 4), (0.0, 7)):
    source = data.build("folder", split="train", path=set_of_images[0], cache_gb=keep)
    list(source)
    server.requests.clear()
    list(pickle.loads(cloudpickle.dumps(source)))  # as a worker process has it
    assert reads(server) in (again, 2 * again), "s3fs asks for the size first"
    for path in pathlib.Path(paths.cache()).rglob("files/*/*"):
      path.unlink()


def test_an_image_that_changed_is_read_anew(server, set_of_images):
  address = set_of_images[0]
  before = data.build("folder", split="train", path=address)[0]["image"]
  objects.Objects(parsed(address, "path")).put("train/a/0.png", png(77))
  after = data.build("folder", split="train", path=address)[0]["image"]
  assert not np.array_equal(before, after)


def test_an_image_that_is_gone_is_told_and_one_that_cannot_be_read_ends_the_run(
  server, set_of_images
):
  source = data.build("folder", split="train", path=set_of_images[0])
  server.delete("set/train/a/1.png")
  with pytest.raises(data.Unreadable, match=r"train/a/1.png: it is no longer there"):
    source[1]
  server.before = lambda method, path: 403
  with pytest.raises(errors.ReadFailed, match="train/a/2.png"):
    source[2]


@pytest.mark.parametrize("source", ["folder", "npz", "tfds", "webdataset", "arrayrecord"])
def test_a_place_with_nothing_in_it_is_named(server, source):
  name = "x.npz" if source == "npz" else "set"
  given = {"name": "tiny"} if source == "tfds" else {}
  if source == "tfds":
    pytest.importorskip("tensorflow_datasets")
  with pytest.raises(errors.Absent, match=f"no (folder|file|prepared tiny).*{server.kind}://"):
    data.build(source, split="train", path=server.address(name), **given)
  with pytest.raises(errors.UserError, match="there is no bucket no-such-bucket"):
    data.build(source, split="train", path=f"{server.kind}://no-such-bucket/{name}", **given)


def test_a_npz_file_is_copied_once(server, tmp_path):
  images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), np.uint8)
  np.savez(tmp_path / "x.npz", images=images, labels=np.arange(6))
  objects.Objects(parsed(server.address("set"), "path")).put(
    "x_train.npz", (tmp_path / "x.npz").read_bytes()
  )
  given = {"path": server.address("set/x_{split}.npz"), "split": "train"}
  np.testing.assert_array_equal(data.build("npz", **given).images, images)
  server.requests.clear()
  np.testing.assert_array_equal(data.build("npz", **given).images, images)
  assert len(server.requests) <= 2, "it was looked for, and not read"
  with pytest.raises(errors.UserError, match="data.npz.cache_gb is 1e-07; set --config.data.npz"):
    data.build("npz", cache_gb=1e-7, **given)


def test_a_prepared_set_is_copied_split_by_split(server, tmp_path):
  pytest.importorskip("tensorflow_datasets")
  import prepared_sets

  prepared_sets.write(tmp_path)
  place = objects.Objects(parsed(server.address("sets"), "path"))
  place.upload(tmp_path / "tiny", "tiny")
  source = data.build("tfds", split="train", name="tiny", path=str(place.address))
  assert_same(source, data.build("tfds", split="train", name="tiny", path=str(tmp_path)))
  kept = [p.name for p in paths.cache().rglob("*array_record*")]
  assert len(kept) == 2 and all("train" in name for name in kept)
  part, rest = (
    data.build("tfds", split=split, path=f"{place.address}/tiny/1.0.0")
    for split in ("train[:5]", "train[3:]")
  )
  assert part.in_common(rest) == 2


@pytest.mark.parametrize("kind", ["webdataset", "parquet", "prepared"])
def test_the_shards_of_a_split_are_copied_with_what_describes_them(server, tmp_path, kind):
  pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
  if kind == "prepared":
    given, options = picture_sets.write("folder", tmp_path / "pictures")
    for split in picture_sets.SIZES:
      source = data.build(given, split=split, **options)
      preparing.prepare(source, split, tmp_path / "set", preparing.Kept(images_per_shard=5))
    given, options = "arrayrecord", {"path": str(tmp_path / "set")}
  else:
    given, options = picture_sets.write(kind, tmp_path / "set")
  place = objects.Objects(parsed(server.address("shards"), "path"))
  place.upload(tmp_path / "set", "set")
  twin = data.build(given, split="train", **options)
  there = options["path"].replace(str(tmp_path), str(place.address))
  source = data.build(given, split="train", **options | {"path": there})
  assert_same(source, twin)
  assert identity.of(source) == identity.of(twin)
  ends = (".tar", ".parquet", ".arrayrecord")
  kept = [p.name for p in paths.cache().rglob("*") if p.name.endswith(ends)]
  assert kept and all("train" in name for name in kept)
