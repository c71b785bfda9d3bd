"""A prepared TFDS set of twelve pictures, written by hand: quick, and without TFDS's builders."""

import io
import json

import numpy as np
from array_record.python import array_record_module
from PIL import Image
from tensorflow_datasets.proto import tf_example_generated_pb2

CLASSES = ("ant", "bee", "cat")
SHARDS = {"train": (4, 4), "test": (4,)}
SIDE_PX = 6


def pictures():
  """{split: (images uint8 [n, 6, 6, 3], labels int [n])}."""
  rng = np.random.default_rng(0)
  sizes = {split: sum(lengths) for split, lengths in SHARDS.items()}
  return {
    split: (rng.integers(0, 256, (n, SIDE_PX, SIDE_PX, 3), np.uint8), np.arange(n) % len(CLASSES))
    for split, n in sizes.items()
  }


def write(data_dir, splits=None):
  """Writes `data_dir`/tiny/1.0.0 and returns that folder.

  Args:
    data_dir: of prepared sets.
    splits: pictures as of `pictures`, a shard a split; None: those.
  """
  shards = SHARDS if splits is None else {name: (len(i),) for name, (i, _) in splits.items()}
  folder = data_dir / "tiny" / "1.0.0"
  folder.mkdir(parents=True)
  (folder / "dataset_info.json").write_text(json.dumps(_info(shards), indent=2))
  (folder / "features.json").write_text(json.dumps(_features(), indent=2))
  (folder / "label.labels.txt").write_text("\n".join(CLASSES) + "\n")
  for split, (images, labels) in (splits or pictures()).items():
    records = iter(zip(images, labels, strict=True))
    for number, length in enumerate(shards[split]):
      name = f"tiny-{split}.array_record-{number:05d}-of-{len(shards[split]):05d}"
      writer = array_record_module.ArrayRecordWriter(str(folder / name), "group_size:1")
      for _ in range(length):
        writer.write(_record(*next(records)))
      writer.close()
  return folder


def _record(image, label):
  png = io.BytesIO()
  Image.fromarray(image).save(png, "PNG")
  example = tf_example_generated_pb2.Example()
  example.features.feature["image"].bytes_list.value.append(png.getvalue())
  example.features.feature["label"].int64_list.value.append(int(label))
  return example.SerializeToString()


def _info(shards):
  template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
  return {
    "fileFormat": "array_record",
    "moduleName": "nowhere",
    "name": "tiny",
    "splits": [
      {
        "filepathTemplate": template,
        "name": split,
        "numBytes": "1000",
        "shardLengths": [str(length) for length in lengths],
      }
      for split, lengths in shards.items()
    ],
    "version": "1.0.0",
  }


def _features():
  core = "tensorflow_datasets.core.features"
  shape = {"dimensions": [str(SIDE_PX), str(SIDE_PX), "3"]}
  image = {"dtype": "uint8", "encodingFormat": "png", "shape": shape}
  return {
    "pythonClassName": f"{core}.features_dict.FeaturesDict",
    "featuresDict": {
      "features": {
        "image": {"pythonClassName": f"{core}.image_feature.Image", "image": image},
        "label": {
          "pythonClassName": f"{core}.class_label_feature.ClassLabel",
          "classLabel": {"numClasses": str(len(CLASSES))},
        },
      }
    },
  }
