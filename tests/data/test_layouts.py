"""Folders are read as a person reads them: the table of docs/data.md, row by row."""

import collections
import contextlib
import json
import logging
import re
import shlex

import numpy as np
import pytest
import scipy.io
from conftest import REPOSITORY
from PIL import Image

from contrastive_jax import config, data, errors, stored
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.data import folder, identity, layouts

SYNSETS = np.array(
  [(1, "n01443537"), (2, "n01440764")], [("ILSVRC2012_ID", object), ("WNID", object)]
)
CAR_NAMES = np.array(["AM General Hummer SUV 2000", "Acura RL Sedan 2012"], object)
SIGNS = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n"


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
  "categories_places365.txt": "/a/abbey 0\n/c/church/indoor 1\n",
  "places365_val.txt": "Places365_val_00000001.jpg 1\n",
  "GT-00001.csv": f"{SIGNS}00000_00000.ppm;29;30;5;6;24;25;1\n",
  "GT-final_test.csv": f"{SIGNS}00000.ppm;53;54;6;5;48;49;1\n00001.ppm;42;45;5;5;36;40;0\n",
  "Train.csv": "Width,Height,ClassId,Path\n27,26,0,Train/0/1.png\n",
  "Test.csv": "Width,Height,ClassId,Path\n53,54,10,Test/00000.png\n",
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


def test_the_table_has_what_people_download():
  told = " ".join(row.id for row in ROWS)
  for name in ("ImageNet", "Tiny ImageNet", "CUB", "Flowers", "Pets", "flat", "nested", "CSV"):
    assert name in told
  assert len(ROWS) >= 20


@pytest.mark.parametrize(("files", "options", "wanted"), ROWS)
def test_a_layout_is_read_as_the_table_says(files, options, wanted, tmp_path):
  write(tmp_path, files)
  sources = {split: opened(tmp_path, split, **options) for split in wanted}
  assert {split: classes(source) for split, source in sources.items()} == wanted
  numbered = {source.label_names for source in sources.values()} - {()}
  assert len(numbered) <= 1, "one numbering for all splits"
  for names in numbered:
    assert set(names) == {name for found in wanted.values() for name in found} - {"-"}


@pytest.mark.parametrize(
  ("files", "labels", "message"),
  [
    (["a.jpg", "b.jpg"], "gone.csv", "there is no list .*gone.csv; data.folder.labels is auto"),
    (
      ["d.jpg", "labels.csv"],
      "labels.csv",
      r"labels.csv names none of the 1 image .* 'd.jpg' \(its",
    ),
    (["1.jpg", "2.jpg"], "name", "no class in the names of images such as '1.jpg'"),
    (["a.jpg", "in_order.txt"], "in_order.txt", "in_order.txt has 3 lines for 1 image:"),
    (
      ["train/n/a.jpg", "val/b.jpg", "ILSVRC2012_validation_ground_truth.txt"],
      "auto",
      "is in meta.mat of the same development kit: put that file beside it",
    ),
    (CUB, "auto", "images.txt, line 2: image 2 has no class or split in"),
    (["data_256/z/zoo/1.jpg", "categories_places365.txt"], "auto", "'z/zoo/1.jpg' lies in no cat"),
    (["val_256/1.jpg", "categories_places365.txt"], "auto", "no images of split 'train'"),
    (
      ["car_ims/1.jpg", "cars_annos.mat"],
      "auto",
      "1 of the 1 image that cars_annos.mat names is not below",
    ),
  ],
)
def test_what_does_not_fit_is_told_in_a_line(files, labels, message, tmp_path):
  write(tmp_path, files)
  (tmp_path / "train_test_split.txt").write_text("1 1\n")
  with pytest.raises(errors.UserError, match=message):
    opened(tmp_path, labels=labels)


def test_labels_that_could_be_had_are_named(tmp_path, caplog):
  write(tmp_path, ["cat.0.jpg", "cat.1.jpg", "dog.0.jpg", "dog.1.jpg", "labels.csv"])
  assert opened(tmp_path).num_classes == 0
  [line] = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
  assert "data.folder.labels=labels.csv reads" in line and "labels=name takes cat, dog" in line


def test_a_list_without_a_column_of_labels_is_told(tmp_path, caplog):
  """As HAM10000's, where the class is in the column dx: its images had no labels without a word."""
  write(tmp_path, ["part_1/a.jpg", "part_2/b.jpg"])
  (tmp_path / "meta.csv").write_text("image_id,dx\na,mel\nb,nv\n")
  assert opened(tmp_path, labels="meta.csv").num_classes == 0
  assert "meta.csv has no column of labels, such as label, among 'image_id', 'dx'" in caplog.text
  caplog.clear()
  assert opened(tmp_path).label_names == ("part_1", "part_2")
  assert "part_1 and part_2 differ by a number alone and are taken as classes" in caplog.text
  assert "data.folder.labels=meta.csv reads that list" in caplog.text
  caplog.clear()
  (tmp_path / "meta.csv").write_text("fname,label\na.jpg,mel\nb.jpg,nv\n")
  assert opened(tmp_path, labels="meta.csv").label_names == ("mel", "nv") and not caplog.records
  write(tmp_path / "digits", ["0/a.jpg", "1/b.jpg", "list.csv"])
  assert opened(tmp_path / "digits").num_classes == 2 and not caplog.records


def test_a_column_of_labels_without_a_list_is_refused(tmp_path):
  write(tmp_path, ["cat/a.jpg", "dog/b.jpg", "HAM_metadata.csv"])
  with pytest.raises(errors.UserError, match="label_column is 'dx', and data.folder.labels is 'au"):
    opened(tmp_path, label_column="dx")
  with pytest.raises(errors.UserError, match="no column 'x' but .*; set data.folder.label_column"):
    opened(tmp_path, labels="HAM_metadata.csv", label_column="x")


def test_a_list_in_the_folder_of_a_split_is_named_as_it_is_read(tmp_path, caplog):
  files = ["train/a.jpg", "train/metadata.csv", "test/a.jpg", "test/metadata.csv"]
  write(tmp_path, files)
  assert opened(tmp_path).num_classes == 0
  assert "data.folder.labels=metadata.csv reads that list" in caplog.text
  caplog.clear()
  write(tmp_path / "other", ["train/1.jpg", "test/3.jpg", "train.csv"])
  assert opened(tmp_path / "other", "test", labels="train.csv").num_classes == 0
  assert "train.csv names images of other splits, and none of the 1 image in" in caplog.text
  (tmp_path / "other" / "train.csv").write_text("id,label\n7,rose\n8,tulip\n")  # of no image
  with pytest.raises(errors.UserError, match="names none of the 1 image in"):
    opened(tmp_path / "other", "test", labels="train.csv")


def test_a_list_of_one_split_labels_no_images_of_the_same_names_in_another(tmp_path, caplog):
  """As trainLabels.csv of CIFAR-10 at Kaggle: test/1.png had the label of train/1.png."""
  write(tmp_path, ["train/1.png", "train/2.png", "test/1.png", "test/2.png"])
  text = "id,label\n1,frog\n2,cat\n"
  for name in ("trainLabels.csv", "trainlabels.csv", "train/labels.csv", "my_train.csv"):
    (tmp_path / name).write_text(text)
    assert classes(opened(tmp_path, labels=name)) == ["frog", "cat"]
    assert not caplog.records
    assert opened(tmp_path, "test", labels=name).num_classes == 0
    assert f"{name} names images of other splits, and none of the 2 images in" in caplog.text
    caplog.clear()
  (tmp_path / "latest.csv").write_text(text)
  assert classes(opened(tmp_path, labels="latest.csv")) == ["frog", "cat"]
  assert "latest.csv names '1', and train/1.png and test/1.png are called so" in caplog.text
  message = r"write paths in data.folder.path \(test/1.png\) there, or a column split"
  with pytest.raises(errors.UserError, match=message):
    opened(tmp_path, "test", labels="latest.csv")
  (tmp_path / "latest.csv").write_text("id,label\ntrain/1,frog\ntest/1,cat\n")
  assert classes(opened(tmp_path, "test", labels="latest.csv")) == ["cat", "-"]
  (tmp_path / "latest.csv").write_text("id,label,split\n1,frog,trn\n2,cat,tst\n")
  assert classes(opened(tmp_path, "test", labels="latest.csv")) == ["-", "cat"]
  (tmp_path / "latest.csv").write_text("id,label,set\n1,frog,left\n2,cat,right\n")
  assert classes(opened(tmp_path, labels="latest.csv")) == ["frog", "cat"]


def test_a_name_of_several_images_in_a_list_is_told(tmp_path, caplog):
  write(tmp_path, ["a/1.png", "b/1.png", "b/2.png"])
  (tmp_path / "list.csv").write_text("id,label\n1,frog\n2,cat\n")
  assert classes(opened(tmp_path, labels="list.csv")) == ["frog", "frog", "cat"]
  assert "list.csv: '1' names several images in" in caplog.text
  assert "(a/1.png, b/1.png; 1 such name): they have one label" in caplog.text


def tiny_imagenet(root):
  (files,) = (row.values[0] for row in ROWS if row.id == "Tiny ImageNet")
  write(root, files)


def test_a_run_from_before_goes_on_with_its_numbering(tmp_path):
  """In which val/images was a class; the numbers were made at a904006, before the table."""
  tiny_imagenet(tmp_path)
  source = opened(tmp_path, layout="plain")
  assert source.label_names == ("images", "n01443537", "n01629819")
  assert source.labels.tolist() == [1, 2]
  assert [path.replace("\\", "/") for path in source.paths][0].startswith("n01443537/images/")
  then = config.pretrain()
  then.data.source, then.data.folder.path = "folder", str(tmp_path)
  text, count = re.subn(r'\n *"layout": null,', "", config.to_json(then))
  assert count == 1
  for found in (config.from_json(text), stored.config(text)):
    assert found.data.folder.layout == "plain"
    assert not [c for c in config.differences(found, then) if "layout" in c]
  assert identity.of(opened(tmp_path)) != identity.of(source)


OLDER = [
  ("DTD", {"train": ["banded", "banded", "zigzagged"]}),
  ("Stanford Cars", {"train": ["-", "-"], "test": ["-"]}),
  ("the same, in one folder", {"train": ["car_ims", "car_ims"]}),
  ("SUN397", {"train": ["a", "c", "c"]}),
  ("GTSRB", {"train": ["00000", "00001"], "test": ["-", "-"]}),
]


@pytest.mark.parametrize(("name", "wanted"), OLDER, ids=[name for name, _ in OLDER])
def test_a_run_from_before_a_set_was_known_goes_on_with_its_classes(name, wanted, tmp_path):
  """As they were read at a7e250d."""
  (files,) = (row.values[0] for row in ROWS if row.id == name)
  write(tmp_path, files)
  sources = {split: opened(tmp_path, split, layout="known") for split in wanted}
  assert {split: classes(source) for split, source in sources.items()} == wanted


def test_a_set_of_which_images_are_gone_can_be_read_without_its_lists(tmp_path):
  (files,) = (row.values[0] for row in ROWS if row.id == "DTD")
  write(tmp_path, files)
  (tmp_path / "dtd/labels/train1.txt").write_text("banded/banded_0002.jpg\nbanded/gone.jpg\n")
  with pytest.raises(errors.UserError, match="line 2: banded/gone.jpg.; copy the set again, or se"):
    opened(tmp_path)
  assert classes(opened(tmp_path, labels="folder")) == ["banded", "banded", "zigzagged"]
  (tmp_path / "dtd/images").rename(tmp_path / "dtd/pictures")
  assert classes(opened(tmp_path)) == ["banded", "banded", "zigzagged"]  # as before it was known


def files_of(name):
  return next(row.values[0] for row in ROWS if row.id == name)


@pytest.mark.parametrize(
  "name", ["DTD", "Flowers-102", "Oxford-IIIT Pets", "CUB-200-2011", "Stanford Cars", "GTSRB"]
)
def test_a_known_set_that_lies_deeper_is_told(name, tmp_path, caplog):
  """Its test images were among those trained on, as of one folder of classes."""
  place = tmp_path / "x" / "y"
  write(place, files_of(name))
  with contextlib.suppress(errors.NoSplit):
    opened(tmp_path, "test")
  assert f"is not read so from {tmp_path}: if it is that set let data.folder.path={place}" in (
    caplog.text
  )
  caplog.clear()
  opened(place, "test")
  assert "a known set" not in caplog.text


@pytest.mark.parametrize("gone", ["labels/val1.txt", "labels/test1.txt", "images"])
def test_a_known_set_of_which_a_file_is_gone_is_told(gone, tmp_path, caplog):
  write(tmp_path, [name.removeprefix("dtd/") for name in files_of("DTD")])
  (tmp_path / gone).rename(tmp_path / "away")
  assert classes(opened(tmp_path)) == ["banded", "banded", "zigzagged"]
  said = "there is no such folder" if gone == "images" else f"and not {gone}: it is read as any oth"
  assert said in caplog.text
  assert "let data.folder.path" not in caplog.text
  caplog.clear()
  write(tmp_path / "own", ["cat/1.jpg", "dog/2.jpg"])
  (tmp_path / "own" / "classes.txt").write_text("cat\ndog\n")
  opened(tmp_path / "own")
  assert not caplog.records


def test_a_level_of_a_known_set_whose_lists_are_gone_is_refused(tmp_path):
  """It was waited for as for a disk that does not answer."""
  write(tmp_path, files_of("the same, by family, or by `manufacturers.txt`"))
  (tmp_path / "images_family_val.txt").unlink()
  with pytest.raises(errors.UserError, match="no .*images_family_val.txt, and others of its se"):
    opened(tmp_path, labels="families.txt")


def test_files_called_as_those_of_a_known_set_that_hold_something_else(tmp_path):
  write(tmp_path, ["cat/1.jpg", "dog/2.jpg", "car_ims/3.jpg"])
  for name, held in (
    ("imagelabels.mat", {"labels": np.array([1, 2])}),
    ("setid.mat", {"trnid": np.array([1])}),
    ("cars_annos.mat", {"class_names": CAR_NAMES, "annotations": np.array([1, 2])}),
  ):
    scipy.io.savemat(tmp_path / name, held)
  message = "called as those of a known set .* hold something else .*; copy .* to folder or none"
  with pytest.raises(errors.UserError, match=message):
    opened(tmp_path)
  assert classes(opened(tmp_path, labels="folder")) == ["car_ims", "cat", "dog"]
  (tmp_path / "setid.mat").unlink()
  with pytest.raises(errors.UserError, match=message):
    opened(tmp_path)
  scipy.io.savemat(tmp_path / "cars_annos.mat", {"x": 1})
  with pytest.raises(errors.UserError, match="no class_names; copy it again, or set data.folder.l"):
    opened(tmp_path)
  write(tmp_path / "kit", files_of("ImageNet with its development kit"))
  scipy.io.savemat(tmp_path / "kit/ILSVRC2012_devkit_t12/data/meta.mat", {"x": 1})
  with pytest.raises(errors.UserError, match="meta.mat has no synsets of ILSVRC2012_ID"):
    opened(tmp_path / "kit", "val")
  scipy.io.savemat(tmp_path / "kit/ILSVRC2012_devkit_t12/data/meta.mat", {"synsets": [1, 2]})
  with pytest.raises(errors.UserError, match="meta.mat has no synsets of ILSVRC2012_ID"):
    opened(tmp_path / "kit", "val")


@pytest.mark.parametrize("name", ["CUB-200-2011", "SUN397", "Places365", "GTSRB", "FGVC-Aircraft"])
def test_lists_of_known_sets_may_begin_and_end_lines_as_on_windows(name, tmp_path):
  files, _, wanted = next(row.values for row in ROWS if row.id == name)
  write(tmp_path, files)
  for path in tmp_path.rglob("*"):
    if path.suffix in (".txt", ".csv"):
      path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
  assert {split: classes(opened(tmp_path, split)) for split in wanted} == wanted


def test_validation_images_of_places_without_their_list_are_told(tmp_path, caplog):
  write(tmp_path, files_of("Places365"))
  (tmp_path / "places365_val.txt").unlink()
  assert opened(tmp_path, "val").num_classes == 0
  assert "there is no places365_val.txt beside categories_places365.txt" in caplog.text


def test_letters_and_forms_of_a_set_that_are_taken_as_classes_are_told(tmp_path, caplog):
  write(tmp_path / "one", ["a/abbey/1.jpg", "c/church/2.jpg"])
  assert opened(tmp_path / "one").label_names == ("a", "c")
  assert "a and c are taken as classes, and seem to be letters" in caplog.text
  assert "(a/abbey): data.folder.labels=path takes" in caplog.text
  assert opened(tmp_path / "one", labels="path").label_names == ("a/abbey", "c/church")
  caplog.clear()
  files = [f"{form}/{name}/1.jpg" for form in ("Set", "SetAllBands") for name in ("Lake", "Wood")]
  write(tmp_path / "two", files)
  assert opened(tmp_path / "two").label_names == ("Set", "SetAllBands")
  assert "Set and SetAllBands are taken as classes, and hold folders of the same" in caplog.text
  assert opened(tmp_path / "two" / "Set").label_names == ("Lake", "Wood")
  caplog.clear()
  write(tmp_path / "digits", ["A/1.jpg", "B/2.jpg"])  # of letters, as of notMNIST
  write(
    tmp_path / "rooms", ["cat/day/1.jpg", "cat/night/1.jpg", "dog/day/1.jpg", "dog/night/2.jpg"]
  )
  opened(tmp_path / "digits")
  opened(tmp_path / "rooms")
  assert not caplog.records


def test_a_new_run_writes_down_how_it_reads(tmp_path):
  asked = config.pretrain()
  assert workdir_lib.ordered(str(tmp_path), asked).data.folder.layout is None
  asked.data.source = "folder"
  assert workdir_lib.ordered(str(tmp_path), asked).data.folder.layout == folder.LAYOUTS[0]


@pytest.mark.parametrize(
  ("name", "label"),
  [
    ("cat.0.jpg", "cat"),
    ("deep/Abyssinian_12.jpg", "Abyssinian"),
    ("american_pit_bull-7.jpg", "american_pit_bull"),
    ("n01440764_10026.JPEG", "n01440764"),
    ("dog (3).jpg", "dog"),
    ("dog.jpg", "dog"),
    ("0001.jpg", ""),
  ],
)
def test_the_class_in_a_name_is_what_comes_before_its_number(name, label):
  assert layouts.in_name(name) == label


def test_every_file_of_the_table_is_given_its_content():
  told = collections.Counter(name.rpartition("/")[2] for row in ROWS for name in row.values[0])
  assert {name.rpartition("/")[2] for name in CONTENT} <= set(told)


def test_folders_that_differ_in_capitals_alone_are_two_classes_and_told(tmp_path, caplog):
  for name in ("Cat/1.png", "cat/2.png", "dog/3.png"):
    (tmp_path / name).parent.mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / name)
  found = data.build("folder", split="train", path=str(tmp_path))
  assert found.label_names == ("Cat", "cat", "dog")
  assert f"{tmp_path}: 'Cat' and 'cat' differ in capitals alone" in caplog.text
