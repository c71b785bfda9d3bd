"""Lists of images that tests write and read."""

from PIL import Image

from contrastive_jax import data


def write(root, *names):
  for i, name in enumerate(names):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (i, 0, 0)).save(root / name, "PNG")


def listed(root, text, name="list.csv"):
  (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
  return str(root / name)


def opened(path, split="train", **options):
  return data.build("table", split=split, path=path, **options)


def told(source):
  """{path: name of the class}"""
  names = [*source.label_names, "-"]
  return {path: names[label] for path, label in zip(source.paths, source.labels, strict=True)}


ABC = {"a.png": "cat", "b.png": "dog", "c.png": "-"}
ANNOTATED = {  # as of COCO and iNaturalist
  "info": {"year": 2021},
  "images": [{"id": i, "file_name": name, "width": 4} for i, name in enumerate(ABC)],
  "annotations": [{"id": 7, "image_id": i, "category_id": 3 + i} for i in (1, 0, 0)],
  "categories": [{"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}, {"id": 5, "name": "eel"}],
}
