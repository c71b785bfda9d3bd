"""Miniatures of sets as people have them, of the table in docs/data.md."""

import json
import re
import shlex

import numpy as np
import pytest
import scipy.io
from conftest import REPOSITORY
from PIL import Image

from contrastive_jax import data

SYNSETS = np.array(
  [(1, "n01443537"), (2, "n01440764")], [("ILSVRC2012_ID", object), ("WNID", object)]
)
CAR_NAMES = np.array(["AM General Hummer SUV 2000", "Acura RL Sedan 2012"], object)
SIGNS = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n"
PACKED_SIGNS = "Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path\n"


def annotations(*rows):
  """An array of MATLAB with fields, [1, n], and beside it the names of classes."""
  kinds = [(field, object) for field in rows[0]]
  return {"annotations": np.array([[tuple(row.values()) for row in rows]], kinds)}


def cells(*texts):
  """An array of MATLAB with texts, [n, 1]."""
  return np.array([[text] for text in texts], object)


# What the files of the table's rows hold.
CONTENT = {
  "LOC_val_solution.csv": "ImageId,PredictionString\n"
  "ILSVRC2012_val_00000001,n01443537 85 1 499 272 n01443537 1 2 3 4 \n",
  "ILSVRC2012_validation_ground_truth.txt": "1\n2\n",
  "meta.mat": {"synsets": SYNSETS},
  "imagenet_2012_validation_synset_labels.txt": "n01440764\n",
  "val_annotations.txt": "val_0.JPEG\tn01629819\t0\t32\t44\t62\n"
  "val_1.JPEG\tn01443537\t0\t0\t1\t1\n",
  "n01443537_boxes.txt": "n01443537_0.JPEG\t0\t10\t63\t58\n",
  "images.txt": "1 001.Black_footed_Albatross/a.jpg\n2 001.Black_footed_Albatross/b.jpg\n"
  "3 002.Laysan_Albatross/c.jpg\n",
  "image_class_labels.txt": "1 1\n2 1\n3 2\n",
  "train_test_split.txt": "1 1\n2 0\n3 1\n",
  "classes.txt": "1 001.Black_footed_Albatross\n2 002.Laysan_Albatross\n",
  "imagelabels.mat": {"labels": np.array([[77, 77, 5]], np.uint8)},
  "setid.mat": {"trnid": np.array([[1]]), "valid": np.array([[3]]), "tstid": np.array([[2]])},
  "annotations/list.txt": "#Image CLASS-ID SPECIES BREED ID\nAbyssinian_1 1 1 1\n",
  "annotations/trainval.txt": "Abyssinian_2 1 1 1\ngreat_pyrenees_3 17 2 10\n",
  "annotations/test.txt": "Abyssinian_1 1 1 1\n",
  "labels.csv": "filename,label\r\na.jpg,rose\r\n./c.jpg,tulip\r\n",
  "splits.csv": "split,id,species\ntrain,a,rose\ntest,b,rose\ntrain,c,tulip\n",
  "meta/train.txt": "apple_pie/1\n",
  "meta/test.txt": "apple_pie/2\nbaby_back_ribs/3\n",
  "meta/classes.txt": "apple_pie\nbaby_back_ribs\n",
  "train.csv": "id,label\n1,rose\n2,tulip\n",
  "train/metadata.csv": "file_name,label\na.jpg,rose\nb.jpg,tulip\n",
  "test/metadata.csv": "file_name,label\na.jpg,tulip\n",
  "in_order.txt": "10\n2\n10\n",
  "images_variant_train.txt": "1000001 A340-300\n1000002 707-320\n",
  "images_variant_val.txt": "1000003 707-320\n",
  "images_variant_test.txt": "1000004 A340-500\n",
  "images_family_train.txt": "1000001 A340\n1000002 Boeing 707\n",
  "images_family_val.txt": "1000003 Boeing 707\n",
  "images_family_test.txt": "1000004 A340\n",
  "families.txt": "A340\nBoeing 707\n",
  "train1.txt": "banded/banded_0002.jpg\n",
  "val1.txt": "zigzagged/zigzagged_0001.jpg\n",
  "test1.txt": "banded/banded_0004.jpg\n",
  "train2.txt": "zigzagged/zigzagged_0001.jpg\n",
  "val2.txt": "banded/banded_0004.jpg\n",
  "test2.txt": "banded/banded_0002.jpg\n",
  "cars_meta.mat": {"class_names": CAR_NAMES[None]},
  "cars_train_annos.mat": annotations(
    {"bbox_x1": 39, "class": 2, "fname": "00001.jpg"},
    {"bbox_x1": 36, "class": 1, "fname": "00002.jpg"},
  ),
  "cars_test_annos.mat": annotations({"bbox_x1": 30, "fname": "00001.jpg"}),
  "cars_test_annos_withlabels.mat": annotations({"class": 2, "fname": "00001.jpg"}),
  "cars_annos.mat": {"class_names": CAR_NAMES[None]}
  | annotations(
    {"relative_im_path": "car_ims/000001.jpg", "class": 1, "test": 0},
    {"relative_im_path": "car_ims/000002.jpg", "class": 2, "test": 1},
  ),
  "train_list.mat": {
    "file_list": cells("n02085620-Chihuahua/n02085620_1.jpg", "n02086079-Pekinese/n02086079_3.jpg")
  },
  "test_list.mat": {"file_list": cells("n02085620-Chihuahua/n02085620_2.jpg")},
  "train2018.json": json.dumps(
    {
      "images": [
        {"id": 1, "file_name": "train_val2018/Aves/3/a.jpg"},
        {"id": 2, "file_name": "train_val2018/Plantae/8/b.jpg"},
      ],
      "annotations": [{"image_id": 1, "category_id": 3}, {"image_id": 2, "category_id": 8}],
      "categories": [{"id": 3, "name": "Lark"}, {"id": 8, "name": "Fern"}],
    }
  ),
  "ISIC_GroundTruth.csv": "image,MEL,NV,BCC\nISIC_1,0.0,1.0,0.0\nISIC_2,1.0,0.0,0.0\n",
  "HAM_metadata.csv": "lesion_id,image_id,dx\nHAM_7,ISIC_1,nv\nHAM_8,ISIC_2,mel\n",
  "ClassName.txt": "/a/abbey\n/c/church/indoor\n/c/church/outdoor\n",
  "Training_01.txt": "/a/abbey/1.jpg\n/c/church/indoor/2.jpg\n",
  "Testing_01.txt": "/c/church/outdoor/3.jpg\n/a/abbey/4.jpg\n",
  "Training_02.txt": "/a/abbey/4.jpg\n/c/church/outdoor/3.jpg\n",
  "Testing_02.txt": "/a/abbey/1.jpg\n/c/church/indoor/2.jpg\n",
  "categories_places365.txt": "/a/abbey 0\n/c/church/indoor 1\n",
  "places365_val.txt": "Places365_val_00000001.jpg 1\n",
  "GT-00001.csv": f"{SIGNS}00000_00000.ppm;29;30;5;6;24;25;1\n",
  "GT-final_test.csv": f"{SIGNS}00000.ppm;53;54;6;5;48;49;1\n00001.ppm;42;45;5;5;36;40;0\n",
  "Train.csv": f"{PACKED_SIGNS}27,26,5,5,22,20,0,Train/0/1.png\n",
  "Test.csv": f"{PACKED_SIGNS}53,54,6,5,48,49,10,Test/00000.png\n",
  "Meta.csv": "Path,ClassId,ShapeId,ColorId,SignId\nMeta/0.png,0,1,0,3.29\n",
  "labels.jsonl": '{"path": "train/a.jpg", "label": "rose"}\n'
  '{"path": "train/b.jpg", "label": "tulip"}\n'
  '{"path": "test/c.jpg", "label": "tulip"}\n',
}


def read_rows():
  """The table's rows: layout, files, options, {split: [class of each image]}."""
  text = (REPOSITORY / "docs" / "data.md").read_text()
  (table,) = re.findall(r"\n\| layout \|.*\n\|[-|]+\n((?:\|.*\n)+)", text)
  for line in table.splitlines():
    name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
    files, labels, found = (re.findall(r"`([^`]+)`", cell) for cell in cells)
    wanted = {split: classes for split, *classes in map(shlex.split, found)}
    options = {"labels": labels[0]} if labels else {}
    options |= dict(option.split("=") for option in labels[1:])
    yield pytest.param(files, options, wanted, id=name)


CUB = [
  "images/a.jpg",
  "images.txt",
  "image_class_labels.txt",
  "train_test_split.txt",
  "classes.txt",
]


ROWS = list(read_rows())


def write(root, files):
  for number, name in enumerate(files):
    path = root / name
    if name.endswith("/"):
      path.mkdir(parents=True)
      continue
    path.parent.mkdir(parents=True, exist_ok=True)
    held = CONTENT.get(name, CONTENT.get(path.name, ""))
    if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".ppm"):
      kind = {".png": "PNG", ".ppm": "PPM"}.get(path.suffix, "JPEG")
      with path.open("wb") as file:
        Image.fromarray(np.full((4, 4, 3), number, np.uint8)).save(file, kind)
    elif isinstance(held, dict):
      scipy.io.savemat(path, held)
    else:
      path.write_bytes(held.encode())


def opened(root, split="train", **options):
  return data.build("folder", split=split, path=str(root), **options)


def classes(source):
  """The name of the class of each image, by its number."""
  numbers = [source[i]["label"] for i in range(len(source))]
  assert numbers == source.labels.tolist()
  return ["-" if number < 0 else source.label_names[number] for number in numbers]


def tiny_imagenet(root):
  (files,) = (row.values[0] for row in ROWS if row.id == "Tiny ImageNet")
  write(root, files)


def files_of(name):
  return next(row.values[0] for row in ROWS if row.id == name)
