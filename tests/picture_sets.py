"""The same pictures as every source that takes files, written as others write them."""

import io
import json
import pathlib
import tarfile

import numpy as np
from array_record.python import array_record_module
from PIL import Image

from contrastive_jax.data import tf_example

CLASSES = ("ant", "bee", "cat")
SIZES = {"train": 12, "test": 6}


def pictures(split):
  """[(name, PNG, label)] of several sizes, in the order of classes that a folder has."""
  rng = np.random.default_rng(len(split))
  found = []
  for i in range(SIZES[split]):
    label = i * len(CLASSES) // SIZES[split]
    sides = (5 + i % 4, 9 - i % 3)
    found.append((f"{i:03d}", png(rng.integers(0, 256, (*sides, 3), np.uint8)), label))
  return found


def png(pixels):
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, "PNG")
  return buffer.getvalue()


def folder(root, split, rows):
  for name, encoded, label in rows:
    path = root / split / CLASSES[label] / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded)
  return "folder", {"path": str(root)}


def add(tar, name, content):
  member = tarfile.TarInfo(name)
  member.size = len(content)
  tar.addfile(member, io.BytesIO(content))


def webdataset(root, split, rows, kind="cls"):
  half = len(rows) // 2
  for number, part in enumerate((rows[:half], rows[half:])):
    with tarfile.open(root / f"set-{split}-{number:04d}.tar", "w") as tar:
      for name, encoded, label in part:
        add(tar, f"{split}/{name}.png", encoded)
        if kind == "cls":
          add(tar, f"{split}/{name}.cls", f"{label}".encode())
        else:
          add(tar, f"{split}/{name}.json", json.dumps({"of": CLASSES[label]}).encode())
  (root / "classes.txt").write_text("\n".join(CLASSES) + "\n")
  label = "auto" if kind == "cls" else "json:of"
  options = {"names": str(root / "classes.txt"), "index": str(root / "index"), "label": label}
  return "webdataset", {"path": str(root / "set-{split}-{0000..0001}.tar"), **options}


def webdataset_json(root, split, rows):
  return webdataset(root, split, rows, "json")


def table(rows, form="struct"):
  """A table of PyArrow as `datasets` makes it ("struct"), or with plain bytes and class names."""
  import pyarrow as pa

  labels = [label for _, _, label in rows]
  if form == "plain":
    texts = [CLASSES[label] for label in labels]
    return pa.table({"name": [n for n, _, _ in rows], "jpg": [e for _, e, _ in rows], "cls": texts})
  images = [{"bytes": encoded, "path": f"{name}.png"} for name, encoded, _ in rows]
  kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
  features = {
    "image": {"_type": "Image"},
    "label": {"names": list(CLASSES), "_type": "ClassLabel"},
    "coarse": {"names": ["odd", "even"], "_type": "ClassLabel"},
  }
  columns = {
    "image": pa.array(images, kind),
    "label": pa.array(labels, pa.int64()),
    "coarse": pa.array([label % 2 for label in labels], pa.int64()),
  }
  said = json.dumps({"info": {"features": features}})
  return pa.table(columns).replace_schema_metadata({"huggingface": said})


def parquet(root, split, rows, form="struct"):
  import pyarrow.parquet as pq

  (root / "data").mkdir(exist_ok=True)
  half = len(rows) // 2
  for number, part in enumerate((rows[:half], rows[half:])):
    path = root / "data" / f"{split}-{number:05d}-of-00002.parquet"
    pq.write_table(table(part, form), path, row_group_size=2)
  (root / "classes.txt").write_text("\n".join(CLASSES) + "\n")
  names = {"names": str(root / "classes.txt")} if form == "plain" else {}
  return "parquet", {"path": str(root), **names}


def parquet_plain(root, split, rows):
  return parquet(root, split, rows, "plain")


def saved_folder(root, split, rows):
  import pyarrow as pa

  (root / "dataset_dict.json").write_text(json.dumps({"splits": list(SIZES)}))
  (root / split).mkdir()
  half, files = len(rows) // 2, []
  for number, part in enumerate((rows[:half], rows[half:])):
    files.append({"filename": f"data-{number:05d}-of-00002.arrow"})
    data = table(part)
    with pa.ipc.new_stream(root / split / files[-1]["filename"], data.schema) as writer:
      writer.write_table(data, 2)
  (root / split / "state.json").write_text(json.dumps({"_data_files": files}))
  return "parquet", {"path": str(root)}


def write_records(path, records):
  writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
  for record in records:
    writer.write(record)
  writer.close()


def arrayrecord(root, split, rows):
  half = len(rows) // 2
  for number, part in enumerate((rows[:half], rows[half:])):
    records = [
      tf_example.serialise({"image/encoded": e, "image/class/label": label, "name": n.encode()})
      for n, e, label in part
    ]
    write_records(root / f"{split}.array_record-{number:05d}-of-00002", records)
  (root / "classes.txt").write_text("\n".join(CLASSES) + "\n")
  names = {"names": str(root / "classes.txt"), "index": str(root / "index")}
  return "arrayrecord", {"path": str(root), **names}


WRITERS = {
  "folder": folder,
  "webdataset": webdataset,
  "webdataset, json": webdataset_json,
  "parquet": parquet,
  "parquet, plain": parquet_plain,
  "parquet, save_to_disk": saved_folder,
  "arrayrecord": arrayrecord,
}


def write(name, root, change=lambda rows: rows):
  """Writes both splits; returns the name of the source and its options."""
  root = pathlib.Path(root)
  root.mkdir(parents=True, exist_ok=True)
  for split in SIZES:
    found = WRITERS[name](root, split, change(pictures(split)))
  return found
