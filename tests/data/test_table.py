"""Lists of images: read as people write them, and what is wrong told with the line."""

import json
import os
import unicodedata

import numpy as np
import pytest
from image_lists import ABC, ANNOTATED, listed, opened, told, write

from contrastive_jax import config, data, errors, run_images
from contrastive_jax.data import list_classes, parts

LISTS = {
  "header": "path,label\na.png,cat\nb.png,dog\nc.png,\n",
  "other names": "Breed;note;File Name\ncat;x;a.png\ndog;y;b.png\n;z;c.png\n",
  "no header": "a.png,cat\nb.png,dog\nc.png,\n",
  "CRLF": "path,label\r\na.png,cat\r\n\r\nb.png,dog\r\nc.png,\r\n",
  "BOM": b"\xef\xbb\xbfpath,label\na.png,cat\nb.png,dog\nc.png,\n",
  "quoted": 'path,label\n"a.png","cat"\n"b.png",dog\nc.png,""\n',
  "Windows": "path,label\n.\\a.png,cat\n.\\b.png,dog\n.\\c.png,-1\n",
  "blank lines first": "\n\npath;label\na.png;cat\nb.png;dog\nc.png;\n",
  "quoted after a space": 'path, label\na.png, "cat"\nb.png, "dog"\nc.png, ""\n',
  "Excel's separator": "sep=;\r\npath;label\r\na.png;cat\r\nb.png;dog\r\nc.png;\r\n",
  "Excel's tabs": b"\xef\xbb\xbfsep=\t\r\npath\tlabel\r\na.png\tcat\r\nb.png\tdog\r\nc.png\t",
  "Excel's commas": 'SEP=,\n"path","label"\na.png,cat\nb.png,dog\nc.png,\n',
  "a separator of one's own": '"sep=|"\npath|label\na.png|cat\nb.png|dog\nc.png|\n',
  "separator and no header": "sep=;\na.png;cat\nb.png;dog\nc.png;\n",
  "named twice": "path,label\na.png,cat\nb.png,dog\na.png,cat\nc.png,\n",
}


@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS.keys())
def test_lists_are_read_however_they_are_written(text, tmp_path):
  write(tmp_path, *ABC)
  assert told(opened(listed(tmp_path, text))) == ABC


def test_lines_below_that_of_the_separator_keep_their_numbers_and_fields_their_marks(tmp_path):
  write(tmp_path, "a.png")
  marked = listed(tmp_path, "sep=;\npath;label;note\na.png;dog, old;1,5\n")
  assert told(opened(marked)) == {"a.png": "dog, old"}
  with pytest.raises(errors.UserError, match="list.csv, line 3: 3 fields, and line 2 has 2; "):
    opened(listed(tmp_path, "sep=;\npath;label\na.png;cat;x\n"))
  with pytest.raises(errors.UserError, match="list.csv, line 3: "):
    opened(listed(tmp_path, 'sep=;\npath;label\na.png;"cat"x\n'))
  with pytest.raises(errors.UserError, match="list.csv holds no line"):
    opened(listed(tmp_path, "sep=;\n"))


@pytest.mark.parametrize(
  ("name", "text"),
  [
    ("l.tsv", "path\tlabel\na.png\tcat\nb.png\tdog\nc.png\t\n"),
    ("l.txt", "a.png cat\nb.png dog\nc.png -1\n"),
    (
      "l.jsonl",
      '{"path": "a.png", "label": "cat"}\n\n{"label": "dog", "path": "b.png"}\n{"path": "c.png"}\n',
    ),
    (  # line ends of Unicode inside a text are none of JSON lines
      "l.jsonl",
      '{"path": "a.png", "label": "cat", "said": "\u2028"}\n'
      '{"path": "b.png", "label": "dog", "said": "\u0085"}\n{"path": "c.png"}\n',
    ),
    (
      "l.json",
      json.dumps([{"image": n, "class": None if c == "-" else c} for n, c in ABC.items()]),
    ),
    ("l.json", json.dumps(ANNOTATED, indent=1)),
    ("l.json", json.dumps(ANNOTATED)),
  ],
)
def test_so_are_lists_of_other_forms(name, text, tmp_path):
  write(tmp_path, *ABC)
  assert told(opened(listed(tmp_path, text, name))) == ABC


def test_a_name_may_hold_a_separator_a_quotation_mark_and_a_line_end(tmp_path):
  names = ["a, b.png", 'say "b".png', "line\nend.png", "ü.png"]
  write(tmp_path, *names)
  quoted = ['"' + name.replace('"', '""') + '"' for name in names]
  source = opened(listed(tmp_path, "path,label\n" + "".join(f"{n},x\n" for n in quoted)))
  assert sorted(source.paths) == sorted(names) and (source.labels == 0).all()


def test_splits_are_a_column_or_a_file_each_and_classes_are_those_of_all(tmp_path):
  write(tmp_path, "a.png", "b.png", "c.png")
  text = "path,label,set\na.png,eel,Training\nb.png,ant,valid\nc.png,ant,test\n"
  together = listed(tmp_path, text)
  for split, label in (("train", "eel"), ("val", "ant"), ("test", "ant")):
    source = opened(together, split)
    assert source.label_names == ("ant", "eel")
    assert list(told(source).values()) == [label]
  for name, row in (("train", "a.png,eel"), ("val", "b.png,ant"), ("test", "c.png,ant")):
    listed(tmp_path, f"path,label\n{row}\n", f"my_{name}.csv")
  source = opened(str(tmp_path / "my_{split}.csv"), "test")
  assert source.label_names == ("ant", "eel") and source.labels.tolist() == [0]
  with pytest.raises(errors.NoSplit, match="list.csv names no image of split 'fold3' but of Train"):
    opened(together, "fold3")
  with pytest.raises(errors.NoSplit, match="of split 'test' but of train; .* hold out a part"):
    opened(listed(tmp_path, "path,label\na.png,x\n", "b.csv"), "test")


def test_columns_can_be_named_or_left_out(tmp_path):
  write(tmp_path, *ABC)
  text = "path,label,fine\na.png,pet,cat\nb.png,pet,dog\nc.png,pet,\n"
  path = listed(tmp_path, text)
  assert told(opened(path, label_column="fine")) == ABC
  assert opened(path).label_names == ("pet",)
  bare = opened(path, label_column="none")
  assert bare.num_classes == 0 and set(bare.labels) == {-1}
  with pytest.raises(
    errors.UserError, match="no column 'breed' but 'path', 'label', 'fine'; set da"
  ):
    opened(path, label_column="breed")


def test_numbers_are_in_the_order_of_their_size(tmp_path):
  write(tmp_path, *(f"{i}.png" for i in range(4)))
  text = "path,label\n0.png,10\n1.png,9.0\n2.png,\n3.png,10.0\n"  # as pandas writes gaps
  source = opened(listed(tmp_path, text))
  assert source.label_names == ("9", "10") and source.labels.tolist() == [1, 0, -1, 1]


def test_paths_begin_in_the_list_s_folder_or_another_or_nowhere(tmp_path):
  write(tmp_path, "pictures/x/a.png", "lists/b.png")
  text = f"path\n../pictures/x/a.png\n{tmp_path}/lists/b.png\n"
  source = opened(listed(tmp_path / "lists", text))
  assert list(source.paths) == ["../pictures/x/a.png", "b.png"]
  assert [source[i]["image"][0, 0, 0] for i in range(2)] == [0, 1]
  other = listed(tmp_path / "lists", "path\nx/a.png\n", "other.csv")
  assert opened(other, root=str(tmp_path / "pictures"))[0]["label"] == -1


def test_files_that_are_missing_are_named_with_their_lines(tmp_path):
  write(tmp_path, "a.png")
  path = listed(tmp_path, "path\na.png\n" + "".join(f"gone{i}.png\n" for i in range(5)))
  with pytest.raises(errors.UserError) as raised:
    opened(path)
  assert str(raised.value).startswith("5 of the 6 images that list.csv names are not below ")
  assert "(line 3: gone0.png; line 4: gone1.png; line 5: gone2.png; ...)" in str(raised.value)
  assert "skip_missing=True" in str(raised.value)
  assert list(opened(path, skip_missing=True).paths) == ["a.png"]
  os.unlink(tmp_path / "a.png")
  with pytest.raises(errors.Absent, match="6 of the 6 images"):
    opened(path)


WRONG = {
  "width": ("path,label\na.png,cat\nb.png,dog,x\n", "line 3: 3 fields, and line 1 has 2"),
  "open quote": ('path,label\n"a.png,cat\n', "line 2: unexpected end of data; a field that holds"),
  "no name": ("path,label\na.png,cat\n,dog\n", "line 3: no image is named there"),
  "two labels": (
    "path,label\na.png,cat\na.png,dog\n",
    "lines 2 and 3: a.png has the label 'cat' and",
  ),
  "latin-1": ("path,label\na.png,größe\n".encode("latin-1"), "line 2: byte 0xf6 is not UTF-8"),
  "UTF-16": ("path,label\na.png,cat\n".encode("utf-16"), "is UTF-16; save it as UTF-8"),
  "binary": (b"path,label\na.png,\0\n", "line 2: a zero byte"),
  "no images": (
    "breed,colour\ncat,red\n",
    "has no column of images, such as path, among 'breed', 'co",
  ),
  "empty": ("", "holds no line"),
  "header alone": ("path,label\n", "names no image below its header"),
  "two columns more": ("a.png,cat,red\n", "line 1: 3 fields and no header"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_told_with_its_line(text, message, tmp_path):
  write(tmp_path, "a.png", "b.png")
  with pytest.raises(errors.UserError, match="list.csv.*") as raised:
    opened(listed(tmp_path, text))
  assert message in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ('{"path": "a.png"}\n{"path": \n', "line 2: no JSON"),
    ('{"path": "a.png"}\n["b.png"]\n', r"line 2: \['b.png'\] is no object"),
    ('[{"path": "a.png"}, 3]', "entry 2: 3 is no object"),
    ("[", "cannot be read as JSON"),
  ],
)
def test_so_it_is_of_json(text, message, tmp_path):
  with pytest.raises(errors.UserError, match=message):
    opened(listed(tmp_path, text, "list.jsonl"))


@pytest.mark.parametrize(
  ("name", "text"),
  [
    ("l.csv", "path,label\na.png,10.0\nb.png,2.0\nc.png,NaN\n"),
    (
      "l.jsonl",
      '{"path": "a.png", "y": 10}\n{"path": "b.png", "y": 2}\n{"path": "c.png", "y": NaN}\n',
    ),
  ],
)
def test_what_is_no_number_beside_numbers_is_no_class(name, text, tmp_path):
  write(tmp_path, *ABC)
  source = opened(listed(tmp_path, text, name))
  assert source.label_names == ("2", "10") and source.labels.tolist() == [1, 0, -1]


@pytest.mark.parametrize("label", ["[1, 2]", "[1]", '{"id": 1}'])
def test_several_labels_of_an_image_are_no_class(label, tmp_path):
  write(tmp_path, "a.png")
  path = listed(tmp_path, f'{{"path": "a.png", "label": {label}}}\n', "l.jsonl")
  with pytest.raises(errors.UserError) as raised:
    opened(path)
  assert str(raised.value).startswith(
    f"l.jsonl, line 1: the label {json.loads(label)!r} is no text"
  )
  assert "data.table.label_column" in str(raised.value)
  assert opened(path, label_column="none").num_classes == 0


@pytest.mark.parametrize("source", ["table", "folder"])
def test_trn_and_tst_in_the_column_of_splits_are_train_and_test(tmp_path, source):
  write(tmp_path, "a.png", "b.png", "c.png")
  path = listed(tmp_path, "path,label,split\na.png,ant,trn\nb.png,bee,trn\nc.png,bee,TST\n")
  where = {"path": path} if source == "table" else {"path": str(tmp_path), "labels": "list.csv"}
  for split, labels in (("train", [0, 1]), ("test", [1])):
    found = data.build(source, split=split, **where)
    assert found.labels.tolist() == labels and found.label_names == ("ant", "bee")
  listed(tmp_path, "path,label,split\na.png,ant,trn\nb.png,bee,train\nc.png,bee,tst\n")
  assert list(data.build(source, split="train", **where).paths) == ["b.png"]  # as before


def test_rows_without_a_split_beside_others_are_told(tmp_path, caplog):
  write(tmp_path, *ABC)
  path = listed(tmp_path, "path,split\na.png,train\nb.png,\nc.png,test\n")
  assert list(opened(path).paths) == ["a.png", "b.png"]
  assert "1 of the 3 lines of list.csv names no split" in caplog.text and "line 3" in caplog.text


def test_a_list_that_is_none_or_not_there_is_refused(tmp_path):
  with pytest.raises(errors.UserError, match='"images.png" is no list; set it to a file that ends'):
    opened("images.png")
  for name in ("gone.csv", "gone_{split}.csv"):
    with pytest.raises(errors.Absent, match="no file .*gone"):
      opened(str(tmp_path / name))
  with pytest.raises(errors.Absent, match='no folder ".*nowhere"'):
    opened(str(tmp_path / "nowhere" / "a.csv"))


def test_labels_that_name_images_are_no_classes():
  labels = [f"image {i}" for i in range(2001)]
  with pytest.raises(errors.UserError, match="has 2,001 different values for 2,001 images"):
    list_classes.classes(labels, "the label")
  assert (
    len(list_classes.classes(labels[:1000], "the label")) == 1000
  )  # so small a set tells nothing


def test_a_part_of_a_list_is_held_out_as_a_folder_is(tmp_path):
  names = [f"{i}.png" for i in range(40)]
  write(tmp_path, *names)
  path = listed(tmp_path, "path\n" + "\n".join(names))
  train, test = (opened(path, split, holdout=0.25) for split in ("train", "test"))
  files = data.build("folder", split="test", path=str(tmp_path), holdout=0.25)
  assert [files[i]["image"][0, 0, 0] for i in range(len(files))] == [
    test[i]["image"][0, 0, 0] for i in range(len(test))
  ]
  assert len(train) + len(test) == 40 and parts.in_common(train, test) == 0
  assert np.array_equal(np.unique(train._positions), train._positions)


def test_a_config_can_set_every_option(tmp_path):
  write(tmp_path, *ABC)
  c = config.pretrain()
  c.data.source, c.data.table.path = "table", listed(tmp_path, LISTS["header"])
  assert told(run_images.source(c, "train")) == ABC


def test_classes_that_differ_in_capitals_alone_are_two_and_told(tmp_path, caplog):
  write(tmp_path, "a.png", "b.png", "c.png")
  source = opened(listed(tmp_path, "path,label\na.png,Cat\nb.png,cat\nc.png,dog\n"))
  assert source.label_names == ("Cat", "cat", "dog")
  assert "list.csv: the label: 'Cat' and 'cat' differ in capitals alone" in caplog.text


@pytest.mark.parametrize("other", ["great  dane", "great\u00a0dane", "Great dane "])
def test_classes_that_look_alike_are_told(tmp_path, caplog, other):
  """Blanks that nobody sees, and letters that systems encode in two ways."""
  write(tmp_path, "a.png", "b.png", "c.png")
  text = 'path,label\na.png,great dane\nb.png,"{}"\nc.png,pug\n'
  opened(listed(tmp_path, text.format(other)))
  assert "and are two classes" in caplog.text
  caplog.clear()
  opened(listed(tmp_path, text.format("cafe\u0301").replace("pug", "caf\u00e9")))
  assert r"'cafe\u0301' and 'caf\xe9' differ in blanks or in how letters are encoded" in caplog.text


@pytest.mark.parametrize(
  ("labels", "names", "wanted"),
  [
    (("True", "TRUE", "false", ""), ("false", "true"), [1, 1, 0, -1]),
    (("true", "False", "True", "False"), ("false", "true"), [1, 0, 1, 0]),
    (("TRUE", "false", "TRUE", "-1"), ("TRUE", "false"), [0, 1, 0, -1]),  # as runs have it
    (("True", "False", "", "True"), ("False", "True"), [1, 0, -1, 1]),
    (("True", "true", "maybe", "maybe"), ("True", "maybe", "true"), [0, 2, 1, 1]),
    (("1", "1.0", "01", "0"), ("0", "1"), [1, 1, 1, 0]),
  ],
)
def test_booleans_are_one_class_however_their_letters_are_written(tmp_path, labels, names, wanted):
  paths = [f"{letter}.png" for letter in "abcd"]
  write(tmp_path, *paths)
  rows_of = list(zip(paths, labels, strict=True))
  source = opened(listed(tmp_path, "path,label\n" + "".join(f"{p},{x}\n" for p, x in rows_of)))
  assert source.label_names == names and source.labels.tolist() == wanted
  text = "".join(
    json.dumps({"path": path, "label": label or None}) + "\n" for path, label in rows_of
  )
  source = opened(listed(tmp_path, text, "list.jsonl"))
  assert source.label_names == names and source.labels.tolist() == wanted


def test_one_object_of_json_may_have_the_label_of_each_image(tmp_path):
  write(tmp_path, *ABC)
  text = json.dumps(
    {name: None if label == "-" else label for name, label in ABC.items()}, indent=2
  )
  assert told(opened(listed(tmp_path, text, "list.json"))) == ABC


@pytest.mark.parametrize(
  ("text", "line"),
  [
    ("path,cat,dog\na.png,1,0\n", "no column of labels, such as label, among 'path', 'cat', 'dog'"),
    ("path,label,is_train\na.png,cat,1\n", "the column 'is_train' may say of which split"),
    ("path,label,Fold\na.png,cat,1\n", "the column 'Fold' may say of which split"),
  ],
)
def test_columns_that_may_be_meant_and_are_not_read_are_told(tmp_path, caplog, text, line):
  write(tmp_path, *ABC)
  opened(listed(tmp_path, text))
  assert line in caplog.text
  caplog.clear()
  opened(listed(tmp_path, text), label_column="none", split_column="none")
  opened(listed(tmp_path, ",path,label,note\n0,a.png,cat,x\n"))
  opened(listed(tmp_path, "path\na.png\n"))
  listed(tmp_path, "path,label,fold\na.png,cat,1\n", "set_train.csv")
  opened(str(tmp_path / "set_{split}.csv"))
  assert not caplog.text


@pytest.mark.parametrize(("here", "there"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_whose_letters_are_encoded_otherwise_are_found(tmp_path, here, there):
  """As of files that macOS packed; they were "not below" the folder, or had no label."""
  file, named = (unicodedata.normalize(form, "caf\u00e9") for form in (here, there))
  assert file != named
  write(tmp_path, f"{file}.png", "b.png")
  path = listed(tmp_path, f"path,label\n{named}.png,cat\nb.png,dog\n")
  assert told(opened(path)) == {f"{file}.png": "cat", "b.png": "dog"}
  source = data.build("folder", split="train", path=str(tmp_path), labels="list.csv")
  assert told(source) == {f"{file}.png": "cat", "b.png": "dog"}


@pytest.mark.parametrize("of_list", ["NFC", "NFD"])
@pytest.mark.parametrize("of_folder", ["NFC", "NFD"])
def test_a_folder_may_have_its_letters_encoded_otherwise_than_its_files(
  tmp_path, of_folder, of_list
):
  of_file = {"NFC": "NFD", "NFD": "NFC"}[of_folder]
  form = unicodedata.normalize
  path = f"{form(of_folder, 'é')}/{form(of_file, 'ü')}.png"
  (tmp_path / path).parent.mkdir()
  write(tmp_path, path)
  source = opened(listed(tmp_path, f"path,label\n{form(of_list, 'é/ü')}.png,cat\n"))
  assert told(source) == {path: "cat"}


def test_addresses_and_names_without_suffixes_are_refused_with_a_remedy(tmp_path):
  write(tmp_path, *ABC)
  with pytest.raises(errors.UserError, match="line 2: https://x.org/a.png is an address.*; fetch"):
    opened(listed(tmp_path, "path,label\nhttps://x.org/a.png,cat\n"))
  with pytest.raises(errors.Absent, match=r"data.source=folder, data.folder.labels=list.csv\)$"):
    opened(listed(tmp_path, "id,label\na,cat\nb,dog\n"))
  with pytest.raises(errors.Absent, match="names begin in$"):
    opened(listed(tmp_path, "id,label\nx/a.png,cat\n"))


def test_booleans_are_one_class_over_the_lists_of_all_splits(tmp_path):
  write(tmp_path, "a.png", "b.png", "c.png", "d.png")
  listed(tmp_path, "path,label\na.png,True\nb.png,False\n", "set_train.csv")  # of pandas
  listed(tmp_path, "path,label\nc.png,TRUE\nd.png,FALSE\n", "set_test.csv")  # of Excel
  for split in ("train", "test"):
    source = opened(str(tmp_path / "set_{split}.csv"), split)
    assert source.label_names == ("false", "true") and source.labels.tolist() == [1, 0]


def test_a_label_inside_another_object_of_json_has_the_name_of_both(tmp_path):
  write(tmp_path, *ABC)
  text = "".join(
    json.dumps({"file": {"path": name}, "label": {"name": None if label == "-" else label}}) + "\n"
    for name, label in ABC.items()
  )
  path = listed(tmp_path, text, "l.jsonl")
  named = {"image_column": "file.path", "label_column": "label.name"}
  assert told(opened(path, **named)) == ABC
  with pytest.raises(errors.UserError, match="set data.table.label_column to label.name, to ano"):
    opened(path, image_column="file.path")


def test_paths_that_windows_has_joined_to_others_are_found(tmp_path):
  write(tmp_path, "pets/cat/a.png", "pets/b.png", "pets/c\\d.png")
  text = "path,label\npets\\cat/a.png,cat\n.\\pets/b.png,dog\npets/c\\d.png,eel\n"
  source = opened(listed(tmp_path, text))
  assert told(source) == {"pets/b.png": "dog", "pets/c\\d.png": "eel", "pets/cat/a.png": "cat"}
  with pytest.raises(errors.UserError, match="lines 2 and 3: pets/cat/a.png has the label 'cat' a"):
    opened(listed(tmp_path, "path,label\npets\\cat/a.png,cat\npets/cat/a.png,dog\n"))


@pytest.mark.parametrize("word", ["NA", "N/A", "<NA>", "null", "NULL", "None"])
def test_what_programs_write_for_no_number_is_no_class_beside_numbers(word, tmp_path, caplog):
  """It was a class beside 3 and 4."""
  write(tmp_path, "a.png", "b.png", "c.png")
  path = listed(tmp_path, f"path,label\na.png,{word}\nb.png,3\nc.png,4.0\n")
  found = opened(path)
  assert found.labels.tolist() == [-1, 0, 1] and found.label_names == ("3", "4")
  assert f"line 2 has the label {word!r} beside numbers: this and others written so" in caplog.text
  assert "if it is a class call it otherwise" in caplog.text
  caplog.clear()
  for label in ("dog", word):  # of Namibia, or a list without any number
    assert opened(listed(tmp_path, f"path,label\na.png,{word}\nb.png,{label}\n")).labels.min() == 0
  assert opened(listed(tmp_path, "path,label\na.png,none\nb.png,1\n")).num_classes == 2
  assert not caplog.records


@pytest.mark.parametrize("labels", ["cat|dog cat dog", "['cat','dog'] ['dog'] ['cat']"])
def test_labels_that_join_others_are_told(labels, tmp_path, caplog):
  """As of chest X-rays: each combination of findings was a class, without a word."""
  write(tmp_path, "a.png", "b.png", "c.png")
  lines = [f'{name}.png,"{label}"' for name, label in zip("abc", labels.split(), strict=True)]
  found = opened(listed(tmp_path, "\n".join(["path,label", *lines])))
  first = labels.split()[0]
  assert found.num_classes == 3
  assert f"{first!r} joins labels that others have alone, such as " in caplog.text
  caplog.clear()
  opened(listed(tmp_path, 'path,label\na.png,"dog, old"\nb.png,dog\n'))
  assert not caplog.records
