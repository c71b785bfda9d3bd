"""Tar shards: what is a sample, what is kept of them, and what is refused in a line."""

import gzip
import logging
import tarfile

import numpy as np
import picture_sets
import pytest

from contrastive_jax import data, errors, reading
from contrastive_jax.data import identity, shards, tar_index


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
  monkeypatch.setattr(reading, "PAUSES_S", (0.0,))


def picture(level):
  return picture_sets.png(np.full((4, 5, 3), level, np.uint8))


def write(path, members, **options):
  with tarfile.open(path, "w", **options) as tar:
    for name, content in members:
      picture_sets.add(tar, name, content)
  return path


def opened(path, split="train", **options):
  options = {"index": str(path.parent / "index")} | options
  return data.build("webdataset", split=split, path=str(path), **options)


def levels(source):
  return [int(source[i]["image"][0, 0, 0]) for i in range(len(source))]


def test_a_key_ends_at_the_first_dot_and_it_is_said_where_that_joins_files(tmp_path, caplog):
  members = [(f"img.00{i}.png", picture(i)) for i in range(3)] + [("other.png", picture(9))]
  path = write(tmp_path / "a.tar", members)
  with caplog.at_level(logging.WARNING):
    source = opened(path)
  assert levels(source) == [0, 9]
  assert "1 sample holds more than one image" in caplog.text
  assert "'img' (000.png, 001.png, 002.png); a key ends at the first dot" in caplog.text
  assert levels(opened(path, image="002.png")) == [2]


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE])
def test_members_that_are_links_are_left_out_and_told(kind, tmp_path, caplog):
  """As tar packs files of which one is a hard link to the other: images were fewer, unsaid."""
  path = tmp_path / "a.tar"
  with tarfile.open(path, "w") as tar:
    for level in range(2):
      picture_sets.add(tar, f"{level}.png", picture(level))
    for name, target in (("2.png", "0.png"), ("3.png", "1.png")):
      link = tarfile.TarInfo(name)
      link.type, link.linkname = kind, target
      tar.addfile(link)
  for _ in range(2):  # and from what is kept of its headers
    assert levels(opened(path)) == [0, 1]
    assert f"such as 2.png in {path}: pack what they stand for (tar --deref" in caplog.text
    caplog.clear()


def test_members_that_are_no_sample_are_passed_over(tmp_path, caplog):
  path = tmp_path / "a.tar"
  with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
    folder = tarfile.TarInfo("long/" + "d" * 150)
    folder.type = tarfile.DIRTYPE
    tar.addfile(folder)
    picture_sets.add(tar, f"{folder.name}/ä.png", picture(1))
    picture_sets.add(tar, f"{folder.name}/ä.cls", b"4")
    link = tarfile.TarInfo("link.png")
    link.type, link.linkname = tarfile.SYMTYPE, "b.png"
    tar.addfile(link)
    for name in ("__meta__.json", "README", "._b.png"):
      picture_sets.add(tar, name, b"{}")
    picture_sets.add(tar, "text.txt", b"no image")
    picture_sets.add(tar, "b.png", picture(2))
  with caplog.at_level(logging.WARNING):
    source = opened(path)
  assert levels(source) == [1, 2] and source.labels.tolist() == [4, -1]
  assert "1 sample holds no image" in caplog.text
  assert "1 sample has no label" in caplog.text


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_form_of_tar_is_read(tmp_path, form):
  name = "x" * 90 if form == tarfile.USTAR_FORMAT else "x" * 300
  path = write(tmp_path / "a.tar", [(f"{name}.png", picture(7))], format=form)
  assert levels(opened(path)) == [7]


def test_headers_are_read_once_until_a_file_changes(tmp_path, monkeypatch):
  path = write(tmp_path / "a.tar", [(f"{i}.png", picture(i)) for i in range(3)])
  first = identity.of(opened(path))
  with monkeypatch.context() as patch:
    patch.setattr(tar_index, "_samples", None)  # it would be called
    assert identity.of(opened(path)) == first
  (kept,) = (tmp_path / "index").iterdir()
  kept.write_bytes(kept.read_bytes()[:-1])  # a bit of the index is lost
  assert identity.of(opened(path)) == first
  write(path, [(f"{i}.png", picture(i)) for i in (5, 6)])
  assert levels(opened(path)) == [5, 6]


def test_a_shard_that_changes_while_it_is_read_is_told(tmp_path):
  path = write(tmp_path / "a.tar", [("0.png", picture(0))])
  source = opened(path)
  write(path, [(f"{i}.png", picture(i)) for i in range(30)])
  with pytest.raises(errors.UserError, match="it changed since the run began"):
    source[0]


def test_an_index_that_cannot_be_kept_is_no_obstacle(tmp_path, caplog):
  path = write(tmp_path / "a.tar", [("0.png", picture(3))])
  (tmp_path / "index").write_text("a file")
  with caplog.at_level(logging.WARNING):
    assert levels(opened(path)) == [3]
  assert "is not kept" in caplog.text and "data.webdataset.index" in caplog.text


def refused(path, **options):
  with pytest.raises(errors.UserError) as error:
    opened(path, **options)
  assert "\n" not in str(error.value)
  return str(error.value)


def test_compressed_shards_are_refused_with_the_remedy(tmp_path):
  path = write(tmp_path / "a.tar", [("0.png", picture(0))])
  path.write_bytes(gzip.compress(path.read_bytes()))
  assert "is compressed (gzip)" in refused(path) and "unpack it" in refused(path)


@pytest.mark.parametrize("damage", ["cut", "header", "text", "empty"])
def test_damaged_shards_are_refused(tmp_path, damage):
  path = write(tmp_path / "a.tar", [(f"{i}.png", picture(i)) for i in range(4)])
  content = bytearray(path.read_bytes())
  if damage == "cut":
    content = content[:1200]  # within the second header's file
  elif damage == "header":  # which tarfile takes for the end of the file
    place = content.index(b"2.png")
    content[place] ^= 1
  else:
    content = b"no tar file at all" * 100 if damage == "text" else b""
  path.write_bytes(content)
  assert f"{path} is no whole tar file" in refused(path)


def test_without_images_members_are_named(tmp_path):
  path = write(tmp_path / "a.tar", [("a.txt", b"1"), ("a.cls", b"2")])
  assert "has an image; members are .txt, .cls" in refused(path)
  assert "has a member .jpg" in refused(path, image="jpg")


def test_labels_that_are_no_classes_are_refused(tmp_path):
  def of(name, *labels):
    members = [
      (f"{i}.{s}", c)
      for i, label in enumerate(labels)
      for s, c in (("png", picture(i)), ("cls", label))
    ]
    return write(tmp_path / name, members)

  assert "identifiers" in refused(of("b.tar", b"10000000000", b"7"))
  names = tmp_path / "names.txt"
  names.write_text("cat\nant\n")
  source = opened(of("c.tar", b"ant", b" cat\n"), names=str(names))
  assert source.labels.tolist() == [1, 0] and source.label_names == ("cat", "ant")
  assert "there are names for 2 classes" in refused(of("d.tar", b"5"), names=str(names))
  assert opened(of("e.tar", b"x"), label="none").num_classes == 0
  names.write_text("cat\ncat\n")
  assert "names 'cat' twice" in refused(of("f.tar", b"cat"), names=str(names))


def test_suffixes_are_alike_in_capitals_as_webdataset_has_it(tmp_path):
  members = [("0.PNG", picture(0)), ("0.CLS", b"3"), ("1.Png", picture(1)), ("1.cls", b"2")]
  path = write(tmp_path / "a.tar", members)
  for image in ("", "png", "PNG"):
    source = opened(path, image=image)
    assert source.labels.tolist() == [3, 2] and levels(source) == [0, 1]


@pytest.mark.parametrize(
  ("values", "wanted"),
  [(("2.0", "0", "null"), [2, 0, -1]), (("true", "false", "NaN"), [1, 0, -1])],
)
def test_labels_of_json_are_those_of_other_sources(tmp_path, values, wanted):
  members = [
    (f"{i}.{s}", c)
    for i, value in enumerate(values)
    for s, c in (("png", picture(i)), ("json", f'{{"label": {value}}}'.encode()))
  ]
  assert opened(write(tmp_path / "a.tar", members), label="json:label").labels.tolist() == wanted


def test_any_member_may_be_the_label_by_its_suffix(tmp_path):
  members = [
    (f"{i}.{s}", c)
    for i, name in enumerate(("newt", "eel", "newt"))
    for s, c in (("png", picture(i)), ("Cls.txt", f"{name}\n".encode()), ("cls", b"7"))
  ]
  path = write(tmp_path / "a.tar", members)
  for label in (".cls.txt", ".CLS.txt"):
    source = opened(path, label=label)
    assert source.labels.tolist() == [1, 0, 1] and source.label_names == ("eel", "newt")
  assert opened(path, label="auto").labels.tolist() == [7, 7, 7]
  for label in ("cls.txt", ".", "..txt"):
    with pytest.raises(errors.UserError, match="a suffix with its dot, such as .cls.txt"):
      opened(path, label=label)


def test_a_label_that_no_sample_has_is_told(tmp_path, caplog):
  path = write(tmp_path / "a.tar", [("0.png", picture(0)), ("0.json", b'{"label": 1}')])
  for label in ("json:lable", "cls"):
    caplog.clear()
    assert opened(path, label=label).num_classes == 0
    assert f"no sample has a label {label}" in caplog.text and ".png, .json" in caplog.text
  caplog.clear()
  with caplog.at_level(logging.INFO):
    opened(path, label="none")
    assert caplog.text == ""
    opened(path)
  assert [record.levelname for record in caplog.records] == ["INFO"]
  assert "no sample has a label cls: images are taken without labels; members are" in caplog.text


def test_names_of_classes_may_begin_with_a_byte_order_mark(tmp_path):
  names = tmp_path / "names.txt"
  names.write_bytes(b"\xef\xbb\xbfcat\r\nant\r\n")
  path = write(tmp_path / "a.tar", [("0.png", picture(0)), ("0.cls", b"cat")])
  assert opened(path, names=str(names)).label_names == ("cat", "ant")


def test_braces_are_spelt_out():
  assert shards.spelt_out("a-{08..11}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]
  assert shards.spelt_out("{b,a}/{0..1}.x") == ["b/0.x", "b/1.x", "a/0.x", "a/1.x"]
  assert shards.spelt_out("{8..10}") == ["8", "9", "10"]
  assert shards.spelt_out("plain{x}") == ["plain{x}"]
  with pytest.raises(errors.UserError, match="runs down"):
    shards.spelt_out("{9..1}")
  with pytest.raises(errors.UserError, match="more than 1,000,000 files"):
    shards.spelt_out("{0..9999}{0..9999}")


def test_a_missing_shard_is_named(tmp_path):
  write(tmp_path / "a-0.tar", [("0.png", picture(0))])
  assert f'no file "{tmp_path}/a-1.tar"' in refused(tmp_path / "a-{0..1}.tar")
  assert "no file" in refused(tmp_path / "b-*.tar")


def test_files_of_a_folder_are_told_apart_by_their_names(tmp_path):
  for name, level in (("x-val-0.tar", 1), ("x-train-1.tar", 3), ("x-train-0.tar", 2)):
    write(tmp_path / name, [("a.png", picture(level))])
  assert levels(opened(tmp_path / "x-train-0.tar")) == [2]
  assert levels(opened(tmp_path, index=str(tmp_path / "i"))) == [2, 3]
  assert levels(opened(tmp_path, "validation", index=str(tmp_path / "i"))) == [1]
  assert levels(opened(tmp_path / "x-{split}-*.tar", index=str(tmp_path / "i"))) == [2, 3]
  assert "no files of a split 'test' but train, validation" in refused(tmp_path, split="test")
  assert "no file of a split 'test'" in refused(tmp_path / "x-*.tar", split="test")


@pytest.mark.parametrize(
  "names", [("x-trn-0.tar", "x-tst-0.tar"), ("seg_train/0.tar", "seg_test/0.tar")]
)
def test_shards_that_may_be_of_several_splits_and_are_read_as_one_are_told(tmp_path, caplog, names):
  for name in names:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    write(tmp_path / name, [("a.png", picture(1)), ("a.cls", b"0")])
  assert len(opened(tmp_path, index=str(tmp_path / "i"))) == 2  # as runs from before have them
  assert f"{names[1]} and {names[0]} may be of" in caplog.text or (
    f"{names[0]} and {names[1]} may be of" in caplog.text
  )
  caplog.clear()
  inside = names[0].replace("trn", "{split}").replace("train", "{split}")
  split = "trn" if "trn" in names[0] else "train"
  assert len(opened(tmp_path / inside, split, index=str(tmp_path / "i"))) == 1 and not caplog.text


def in_folders(path, *names):
  """A shard of samples of level 0, 1, ... at these places."""
  return write(path, [(name, picture(i)) for i, name in enumerate(names)])


def test_folders_in_shards_are_classes_numbered_over_all_splits(tmp_path):
  """In the order of files and members; the class that only one split has shifts no other."""
  in_folders(tmp_path / "set-train-0.tar", "n2/b.png", "n3/a.png", "./n2/images/c.png", "d.png")
  in_folders(tmp_path / "set-train-1.tar", "n3/e.png")
  in_folders(tmp_path / "set-val-0.tar", "n1/x.png", "n3/y.png")
  for path in (tmp_path, tmp_path / "set-{split}-*.tar", tmp_path / "*.tar"):
    train, val = (
      opened(path, split, label="folder", index=str(tmp_path / "i")) for split in ("train", "val")
    )
    assert train.label_names == val.label_names == ("n1", "n2", "n3")
    assert train.labels.tolist() == [1, 2, 1, -1, 2] and val.labels.tolist() == [0, 2]
    assert levels(train) == [0, 1, 2, 3, 0]
  names = tmp_path / "names.txt"
  names.write_text("n3\nn2\n")
  options = {"label": "folder", "index": str(tmp_path / "i"), "names": str(names)}
  assert opened(tmp_path, **options).labels.tolist() == [1, 0, 1, -1, 0]
  with pytest.raises(errors.UserError, match="no number is known of 'n1'"):
    opened(tmp_path, "val", **options)


@pytest.mark.parametrize(
  ("train", "val", "wanted"),
  [
    ("train/{}/a.png", "val/{}/a.png", ("ant", "bee")),
    ("set/train/{}/a.png", "set/val/{}/a.png", ("ant", "bee")),
    ("all/{}/images/a.png", "all/{}/images/a.png", ("ant", "bee")),
    ("one/a{}.png", "one/a{}.png", ("one",)),
    ("train/{}.png", "val/{}.png", ("train", "val")),  # where nothing else can be a class
  ],
)
def test_what_lies_around_the_folders_of_classes_is_none(tmp_path, train, val, wanted):
  in_folders(tmp_path / "x-train.tar", train.format("ant"), train.format("bee"))
  in_folders(tmp_path / "x-val.tar", val.format("bee"))
  assert opened(tmp_path / "x-{split}.tar", "val", label="folder").label_names == wanted
  assert opened(tmp_path / "x-{split}.tar", label="folder").label_names == wanted


def test_folders_in_shards_are_the_classes_of_the_same_files_in_folders(tmp_path):
  (tmp_path / "shards").mkdir()
  places = ["train/b/0.png", "train/b/1.png", "train/ä/2.png", "train/10/3.png", "train/9/4.png"]
  for place in places:
    file = tmp_path / "files" / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(picture(7))
  path = in_folders(tmp_path / "shards" / "train.tar", *places)
  wanted = data.build("folder", split="train", path=str(tmp_path / "files"))
  found = opened(path, label="folder")
  assert found.label_names == wanted.label_names
  named = [found.label_names[label] for label in found.labels]
  assert named == [place.split("/")[1] for place in places]


def test_that_folders_could_be_classes_is_told_and_changes_nothing(tmp_path, caplog):
  """A run from before goes on without labels."""
  path = in_folders(tmp_path / "a.tar", "n1/a.png", "n2/b.png")
  source = opened(path)
  assert source.num_classes == 0
  assert "n1 and n2 are folders: data.webdataset.label=folder takes such as classes" in caplog.text
  write(tmp_path / "one-0.tar", [("n1/a.png", picture(0))])
  write(tmp_path / "one-1.tar", [("n2/a.png", picture(0))])
  caplog.clear()
  opened(tmp_path / "one-*.tar")
  assert "n1 and n2 are folders" in caplog.text
  caplog.clear()
  labelled = [("n1/a.png", picture(0)), ("n1/a.cls", b"1"), ("n2/b.png", picture(0))]
  opened(write(tmp_path / "b.tar", labelled))
  assert "folders" not in caplog.text
  with pytest.raises(errors.UserError, match="use auto, none, cls, folder, json:KEY, or a suf"):
    opened(path, label="folders")


def test_folders_in_shards_of_a_bucket_need_names():
  with pytest.raises(errors.UserError, match="copy them all; set data.webdataset.names"):
    wanted = shards.Wanted("data.webdataset.path", (".tar",), "")
    shards.of_other_splits("gs://b/x-{split}.tar", "train", wanted)
