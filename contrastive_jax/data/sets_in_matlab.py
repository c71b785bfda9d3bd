"""Well-known sets that name their images in files of MATLAB."""

import logging
from typing import Any

import numpy as np

from contrastive_jax import errors
from contrastive_jax.data import set_files
from contrastive_jax.data.rows import Row
from contrastive_jax.data.set_files import Known
from contrastive_jax.data.splits import Tree


def flowers(place: Any, tree: Tree) -> Known:
  """Flowers-102: classes and splits as arrays of MATLAB, of images that are numbered from 1."""
  labels = np.ravel(set_files.mat(place / "imagelabels.mat", tree)["labels"]).tolist()
  parts = set_files.mat(place / "setid.mat", tree)
  of = {
    int(number): split
    for split, key in (("train", "trnid"), ("validation", "valid"), ("test", "tstid"))
    for number in np.ravel(parts[key])
  }
  found = [
    Row(n, f"image_{n:05d}.jpg", str(label), of.get(n, "none")) for n, label in enumerate(labels, 1)
  ]
  folder = place / "jpg"
  return Known("imagelabels.mat", folder if tree.is_folder(folder) else place, found)


def dogs(place: Any, tree: Tree) -> Known:
  """Stanford Dogs: a list a split, of paths whose folder is the class."""
  found = [
    Row(number, str(name), str(name).partition("/")[0], split)
    for split in ("train", "test")
    for number, name in enumerate(_array(place / f"{split}_list.mat", "file_list", tree), 1)
  ]
  return Known("train_list.mat", place / "Images", found)


def cars(place: Any, tree: Tree) -> Known | None:
  """Stanford Cars in one folder: paths, numbers of classes and whether an image is for tests."""
  if not tree.is_folder(place / "car_ims"):  # numbers of the files in cars_train/ are others
    if tree.is_folder(place / "cars_train") or tree.is_folder(place / "cars_test"):
      logging.getLogger(__name__).warning(
        "warning: %s has the classes of images in car_ims/, which are numbered otherwise than "
        "those in cars_train/ and cars_test/: these are taken without labels; copy car_ims/ here, "
        "or devkit/ (cars_meta.mat, cars_train_annos.mat, cars_test_annos_withlabels.mat)",
        place / "cars_annos.mat",
      )
    return None
  path = place / "cars_annos.mat"
  names = _array(path, "class_names", tree)
  found = [
    Row(
      number,
      str(one["relative_im_path"]).removeprefix("car_ims/"),
      _class(names, one["class"], path, number),
      "test" if int(one["test"]) else "train",
    )
    for number, one in enumerate(_array(path, "annotations", tree), 1)
  ]
  return Known("cars_annos.mat", place / "car_ims", found)


def cars_in_splits(place: Any, tree: Tree) -> Known | None:
  """Stanford Cars in a folder a split; classes of test images are in a file that came later."""
  kit, found = place / "devkit", []
  names = _array(kit / "cars_meta.mat", "class_names", tree)
  for split in ("train", "test"):
    folder = f"cars_{split}"
    if not tree.is_folder(place / folder):
      return None
    if tree.is_folder(place / folder / folder):  # as a site packs it
      folder = f"{folder}/{folder}"
    later = [at / "cars_test_annos_withlabels.mat" for at in (place, kit)]
    files = [kit / f"cars_{split}_annos.mat", *(later if split == "test" else ())]
    path = next((file for file in files[::-1] if tree.is_file(file)), None)
    for number, one in enumerate(() if path is None else _array(path, "annotations", tree), 1):
      known = "class" in (one.dtype.names or ())
      label = _class(names, one["class"], path, number) if known else ""
      found.append(Row(number, f"{folder}/{one['fname']}", label, split))
  return Known("devkit/cars_train_annos.mat", place, found)


def _class(names: np.ndarray, number: Any, path: Any, line: int) -> str:
  if not 1 <= int(number) <= len(names):
    raise errors.UserError(
      f"{path}: entry {line} is of class {int(number)}, and there are names for {len(names)}; copy "
      "the set again"
    )
  return str(names[int(number) - 1])


def _array(path: Any, key: str, tree: Tree) -> np.ndarray:
  found = set_files.mat(path, tree)
  if key not in found:
    raise errors.UserError(f"{path} holds no {key}; copy it again")
  return np.atleast_1d(found[key])
