"""The same pictures are the same tensors in the same order, whatever they come as.

A new source is one more function here.
"""

import json

import numpy as np
import pytest
from PIL import Image

from contrastive_jax import data
from contrastive_jax.data import given, pipeline, subset

NAMES = ("ant", "bee", "cat")
COUNT, SIDE_PX = 12, 6
LABELS = np.arange(COUNT) * len(NAMES) // COUNT  # in the order of the files
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, SIDE_PX, SIDE_PX, 3), np.uint8)
FILES = [f"{NAMES[label]}/{i:02d}.png" for i, label in enumerate(LABELS)]
OPTIONS = {"batch_size": 4, "host_size_px": 8}


def write(root, names=FILES):
  for name, image in zip(names, IMAGES, strict=True):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def folder(root):
  write(root / "train")
  return data.build("folder", split="train", path=str(root))


def folder_with_list(root):
  write(root, [name.replace("/", "_") for name in FILES])
  lines = [f"{name.replace('/', '_')},{NAMES[i]}" for name, i in zip(FILES, LABELS, strict=True)]
  (root / "labels.csv").write_text("\n".join(["file,label", *lines]))
  return data.build("folder", split="train", path=str(root), labels="labels.csv")


def folder_by_name(root):
  write(root, [name.replace("/", "_") for name in FILES])
  return data.build("folder", split="train", path=str(root), labels="name")


def csv(root):
  write(root)
  order = np.random.default_rng(1).permutation(COUNT)  # a list may have any
  lines = [f'"{FILES[i]}",{NAMES[LABELS[i]]},train' for i in order]
  (root / "list.csv").write_text("\r\n".join(["path,label,split", *lines]), encoding="utf-8-sig")
  return data.build("table", split="train", path=str(root / "list.csv"))


def json_lines(root):
  write(root)
  rows = [{"file": n, "class": int(label)} for n, label in zip(FILES, LABELS, strict=True)]
  (root / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
  return data.build("table", split="train", path=str(root / "list.jsonl"))


def npz(root):
  np.savez(root / "a.npz", images=IMAGES, labels=LABELS, label_names=NAMES)
  return data.build("npz", split="train", path=str(root / "a.npz"))


def tfds(root):
  prepared_sets = pytest.importorskip("prepared_sets", reason="needs the extra tfds")
  (root / "sets").mkdir()
  prepared_sets.write(root / "sets", {"train": (IMAGES, LABELS)})
  return data.build("tfds", split="train", name="tiny", path=str(root / "sets"))


class Items:
  """What a data set of PyTorch looks like."""

  def __init__(self, give):
    self._give = give

  def __len__(self):
    return COUNT

  def __getitem__(self, index):
    return self._give(index)


def objects(give):
  return lambda root: given.by_split(Items(give), "train")["train"]


SOURCES = {
  "folder": folder,
  "folder with a list": folder_with_list,
  "folder, classes in names": folder_by_name,
  "csv": csv,
  "json lines": json_lines,
  "npz": npz,
  "tfds": tfds,
  "arrays": objects(lambda i: (IMAGES[i], LABELS[i])),
  "pictures of Pillow": objects(lambda i: (Image.fromarray(IMAGES[i]), NAMES[LABELS[i]])),
  "float tensors": objects(lambda i: (np.float32(IMAGES[i].transpose(2, 0, 1)) / 255, LABELS[i])),
  "mappings": objects(lambda i: {"image": IMAGES[i], "label": int(LABELS[i])}),
}


@pytest.fixture(params=SOURCES, ids=str)
def source(request, tmp_path):
  return SOURCES[request.param](tmp_path)


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_every_source_gives_the_same_tensors_in_the_same_order(source, cache):
  assert (len(source), source.num_classes) == (COUNT, len(NAMES))
  batches = list(pipeline.eval_batches(source, cache=cache, **OPTIONS))
  whole = {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}
  np.testing.assert_array_equal(whole["image"][:, :SIDE_PX, :SIDE_PX], IMAGES)
  assert not whole["image"][:, SIDE_PX:].any() and not whole["image"][:, :, SIDE_PX:].any()
  np.testing.assert_array_equal(whole["label"], LABELS)
  np.testing.assert_array_equal(whole["index"], np.arange(COUNT))
  assert (whole["extent"] == SIDE_PX).all() and not whole["replaced"].any()


def test_every_source_goes_on_in_the_midst_of_an_epoch(source):
  def batches(start):
    made = pipeline.train_batches(source, seed=1, start_step=start, total_steps=5, **OPTIONS)
    return [(b["index"].tolist(), b["image"]) for b in made]

  whole, rest = batches(0), batches(2)
  assert len(rest) == 3
  for (index, image), (again, same) in zip(whole[2:], rest, strict=True):
    assert index == again
    np.testing.assert_array_equal(image, same)
    np.testing.assert_array_equal(image[:, :SIDE_PX, :SIDE_PX], IMAGES[index])


def test_every_source_is_held_out_from_and_cut_alike(source):
  kept, held_out = subset.hold_out(source, 3)
  assert len(kept) == COUNT - 3 and held_out is not None
  examples = [held_out[i] for i in range(3)]
  for example in examples:
    np.testing.assert_array_equal(example["image"], IMAGES[example["index"]])
    assert example["label"] == LABELS[example["index"]]
