"""Lists with a column of 0 and 1 for each class."""

import pytest
from image_lists import ABC, listed, opened, told, write

from contrastive_jax import errors
from contrastive_jax.data import list_columns, rows

ONE_HOT = "image,age,cat,dog,eel\na.png,50,1.0,0.0,0.0\nb.png,1,0,1,0\nc.png,0,0,0.0,0\n"


@pytest.mark.parametrize("column", ["one_hot", "cat,dog,eel", "dog, cat"])
def test_a_column_for_each_class_says_it_by_its_one(tmp_path, caplog, column):
  """As ISIC's lists. The class eel has no image, and c.png no class, which is told."""
  write(tmp_path, *ABC)
  path = listed(tmp_path, ONE_HOT)
  source = opened(path, label_column=column)
  assert told(source) == ABC and source.label_names == ("cat", "dog")
  assert "1 of 3 images is 1 in none of" in caplog.text and "(line 4) and without" in caplog.text
  assert opened(path).num_classes == 0  # as before
  assert "(one_hot: a column a class, of 0 and 1)" in caplog.text


@pytest.mark.parametrize(
  ("name", "text"),
  [
    (
      "l.jsonl",
      '{"image": "a.png", "cat": 1, "dog": 0}\n{"dog": true, "cat": false, "image": "b.png"}',
    ),
    ("l.csv", "path;cat;dog;split\na.png;TRUE;FALSE;train\nb.png;False;True;train\n"),
    ("l.csv", ",sample,cat,dog\n0,a.png,1,0\n1,b.png,0,1\n"),  # pandas' index
  ],
)
def test_so_it_is_in_other_forms_of_lists(tmp_path, name, text):
  write(tmp_path, *ABC)
  columns = {"image_column": "sample"} if "sample" in text else {}
  names = "one_hot" if "sample" not in text else "cat,dog"
  source = opened(listed(tmp_path, text, name), label_column=names, **columns)
  assert told(source) == {"a.png": "cat", "b.png": "dog"}


@pytest.mark.parametrize(
  ("rows_of", "column", "message"),
  [
    ("a.png,1,1,0\n", "one_hot", "list.csv, line 2: cat and dog are 1, and an image has one class"),
    ("a.png,1,0,0\nb.png,1,2,0\n", "cat,dog", "line 3: the column dog holds '2', not 0 or 1; name"),
    ("a.png,1,0,0\nb.png,,1,0\n", "cat,dog", "line 3: the column cat holds '', not 0 or 1; name"),
    ("a.png,1,0,0\n", "cat,cow", "no column 'cow' but .*; set data.table.label_column to columns"),
    ("a.png,1,x,0.5\n", "one_hot", "has not two columns that hold 0 and 1 alone among .*; set"),
  ],
)
def test_what_is_no_column_a_class_is_told_with_its_line(tmp_path, rows_of, column, message):
  write(tmp_path, *ABC)
  path = listed(tmp_path, "image,cat,dog,eel\n" + rows_of)
  with pytest.raises(errors.UserError, match=message) as raised:
    opened(path, label_column=column)
  assert "data.table.label_column" in str(raised.value) and "\n" not in str(raised.value)


def test_numbers_of_images_and_splits_are_no_classes():
  text, columns = (
    b"id,fold,cat,dog\n0,0,1,0\n1,1,0,1\n",
    list_columns.Columns(split="fold", label="one_hot"),
  )
  found = rows.parsed(text, "l.csv", columns, "data.table")
  assert [row[1:] for row in found] == [("0", "cat", "0"), ("1", "dog", "1")]


def test_a_column_that_is_called_so_is_that_of_labels(tmp_path):
  write(tmp_path, *ABC)
  text = 'image,one_hot,"a,b"\na.png,x,p\nb.png,y,q\n'
  assert opened(listed(tmp_path, text), label_column="one_hot").label_names == ("x", "y")
  assert opened(listed(tmp_path, text), label_column="a,b").label_names == ("p", "q")


def test_thousands_of_columns_are_no_line_of_thousands(tmp_path, caplog):
  caplog.set_level("INFO")
  names = ",".join(f"k{i}" for i in range(3000))
  text = f"image,{names}\n" + "".join(f"{i}.png,1{',0' * 2999}\n" for i in range(2))
  rows.parsed(text.encode(), "l.csv", list_columns.Columns(label="one_hot"), "data.table")
  assert "k28, k29, ... (2,970 more); data.table.label_column names others" in caplog.text


def test_a_column_of_ones_that_is_none_of_a_class_is_told(tmp_path, caplog):
  write(tmp_path, *ABC)
  text = "image,cat,dog,eel,is_val\na.png,1,0,0,0\nb.png,0,1,0,1\nc.png,0,0,{},1\n"
  assert opened(listed(tmp_path, text.format(1)), label_column="one_hot").num_classes == 3
  assert "the column eel" not in caplog.text
  source = opened(listed(tmp_path, text.format("0.9")), label_column="one_hot")
  assert told(source) == ABC
  line = "the column eel is none of a class, for it holds 0 and 1 but in 1 line (line 4: '0.9'); if"
  assert line in caplog.text
