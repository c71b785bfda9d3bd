"""Lists in COCO's form: images, annotations and categories."""

import json

import pytest
from image_lists import ABC, ANNOTATED, listed, opened, told, write

from contrastive_jax import errors


def test_an_image_of_several_categories_has_no_class_of_its_own(tmp_path):
  write(tmp_path, *ABC)
  more = ANNOTATED["annotations"] + [{"id": 8, "image_id": 1, "category_id": 5}]
  path = listed(tmp_path, json.dumps(ANNOTATED | {"annotations": more}), "l.json")
  with pytest.raises(errors.UserError, match=r"line 2: the label \['dog', 'eel'\] is no text and"):
    opened(path)
  assert list(opened(path, label_column="none").paths) == list(ABC)


def test_annotations_find_their_images_or_are_told(tmp_path, caplog):
  """Numbers beside texts of them: all images were without a label, and nothing said so."""
  write(tmp_path, *ABC)
  marks = [mark | {"image_id": str(mark["image_id"])} for mark in ANNOTATED["annotations"]]
  path = listed(tmp_path, json.dumps(ANNOTATED | {"annotations": marks}), "l.json")
  assert told(opened(path)) == ABC
  assert "l.json: 1 of 3 images has no annotation ('c.png')" in caplog.text
  marks = [{"image_id": 0, "category_id": 9}, {"image_id": 2, "category_id": 3}]
  marks += [{"image_id": number, "category_id": 3} for number in (70, 1)]
  caplog.clear()
  opened(listed(tmp_path, json.dumps(ANNOTATED | {"annotations": marks}), "l.json"))
  line = "l.json: 1 image of annotations not listed (70); 1 category without a name (9)"
  assert line in caplog.text


def test_images_of_one_number_are_refused(tmp_path):
  """As where lists were put together: each had the labels of both."""
  write(tmp_path, *ABC)
  images = [one | {"id": min(one["id"], 1)} for one in ANNOTATED["images"]]
  path = listed(tmp_path, json.dumps(ANNOTATED | {"images": images}), "l.json")
  with pytest.raises(errors.UserError, match="'b.png' and 'c.png' have the id 1, and annotations"):
    opened(path)


def test_categories_of_one_name_or_none_go_by_their_numbers(tmp_path):
  write(tmp_path, *ABC)
  alike = [{"id": number, "name": "x"} for number in (3, 4)]
  path = listed(tmp_path, json.dumps(ANNOTATED | {"categories": alike}), "l.json")
  assert opened(path).label_names == ("3", "4")
  path = listed(tmp_path, json.dumps(ANNOTATED | {"categories": []}), "l.json")
  assert opened(path).label_names == ("3", "4")
  odd = [{"id": [1], "file_name": "a.png"}]
  path = listed(tmp_path, json.dumps(ANNOTATED | {"images": odd}), "l.json")
  with pytest.raises(errors.UserError, match="no column of images"):
    opened(path)
