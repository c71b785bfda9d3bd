"""Files are listed once, in the order of their bytes, and what has changed has a name."""

import logging
import os
import pickle

import pytest

from contrastive_jax import data, errors
from contrastive_jax.data import listing, lists, walk
from contrastive_jax.workdir import files

SUFFIXES = (".jpg", ".png")


def write(root, *names):
  for name in names:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(name.encode())


@pytest.fixture
def root(tmp_path):
  """Names whose order is another one by folder than by the bytes of the whole path."""
  root = tmp_path / "set"
  write(root, "a/1.jpg", "a-b/2.png", "a.jpg", "a0/b/3.jpg", "a0/b-c/4.jpg", "a/ü.jpg", "b/x.txt")
  write(root, "a/.hidden.jpg", ".cache/5.jpg", "a0/6.JPG", "empty/notes.md")
  (root / "a/link.jpg").symlink_to("1.jpg")
  return root


def test_paths_are_in_the_order_of_their_bytes_with_sizes_and_times(root):
  found = walk.scan(root, SUFFIXES)
  paths = list(found)
  assert sorted(paths, key=os.fsencode) == paths
  assert set(paths) == {
    *("a-b/2.png", "a.jpg", "a/1.jpg", "a/link.jpg", "a/ü.jpg"),
    *("a0/6.JPG", "a0/b-c/4.jpg", "a0/b/3.jpg"),
  }
  assert found.loose == 1
  for path, size, time in zip(found, found.sizes, found.times, strict=True):
    told = (root / path).lstat()
    assert time == told.st_mtime_ns
    assert size == (-1 if path == "a/link.jpg" else told.st_size)
  assert [found[i] for i in found.within("a0/b")] == ["a0/b/3.jpg"]
  assert [found[i] for i in found.within("a")] == ["a/1.jpg", "a/link.jpg", "a/ü.jpg"]
  assert not found.within("b") and "a/ü.jpg" in found and "a/u.jpg" not in found
  assert found[-1] == paths[-1]
  with pytest.raises(IndexError):
    found[len(paths)]


def test_a_list_comes_back_from_its_file_and_a_damaged_one_does_not(root, tmp_path):
  found, path = walk.scan(root, SUFFIXES), tmp_path / "list"
  listing.save(found, path, tmp_path / "list.tmp")
  again = listing.load(path)
  assert list(again) == list(found) and again.digest == found.digest
  assert again.loose == 1 and again.times.tolist() == found.times.tolist()
  assert sorted(os.listdir(tmp_path)) == ["list", "set"]
  whole = path.read_bytes()
  for damaged in (b"", whole[:4300], whole[:4096].replace(b"8", b"9", 1) + whole[4096:]):
    path.write_bytes(damaged)
    assert listing.load(path) is None
  path.write_bytes(whole[:4100] + b"z" + whole[4101:])
  assert listing.load(path) is None


def counted(monkeypatch):
  scans, scan = [], lists.scan
  monkeypatch.setattr(lists, "scan", lambda *args: scans.append(args) or scan(*args))
  return scans


def test_a_long_list_is_made_by_one_process_and_taken_by_those_that_are_told(
  root, tmp_path, monkeypatch
):
  monkeypatch.setattr(lists, "_KEPT_FROM", 5)
  monkeypatch.setattr(lists, "_trusted", set())
  monkeypatch.setattr(lists, "_made", set())
  scans, kept_in = counted(monkeypatch), str(tmp_path / "lists")
  first = lists.of(root, SUFFIXES, kept_in)
  assert first.path.startswith(kept_in) and len(scans) == 1
  again = lists.of(root, SUFFIXES, kept_in)  # another run: what is there may have changed
  assert len(scans) == 2 and again.digest == first.digest
  lists.trust(lists.made())  # another process of this run
  taken = lists.of(root, SUFFIXES, kept_in)
  assert len(scans) == 2 and list(taken) == list(first)
  write(root, "a/9.jpg")
  (tmp_path / "other").mkdir()
  assert "a/9.jpg" in lists.of(root, SUFFIXES, str(tmp_path / "other")) and len(scans) == 3


def test_workers_map_the_list_and_see_that_it_was_replaced(root, tmp_path, monkeypatch):
  monkeypatch.setattr(lists, "_KEPT_FROM", 5)
  told = pickle.dumps(lists.of(root, SUFFIXES, str(tmp_path)))
  assert len(told) < 500, "no names travel"
  assert list(pickle.loads(told)) == list(walk.scan(root, SUFFIXES))
  write(root, "a/9.jpg")
  lists.of(root, SUFFIXES, str(tmp_path))
  with pytest.raises(errors.ReadFailed, match="was replaced .*the same command lists it anew"):
    pickle.loads(told)
  short = pickle.loads(pickle.dumps(walk.scan(root, SUFFIXES)))  # which travels whole
  assert "a/9.jpg" in short


def test_a_place_that_cannot_be_written_is_told_and_done_without(
  root, tmp_path, monkeypatch, caplog
):
  monkeypatch.setattr(lists, "_KEPT_FROM", 5)
  (tmp_path / "file").write_text("")
  with caplog.at_level(logging.WARNING):
    found = lists.of(root, SUFFIXES, str(tmp_path / "file"))
  assert len(found) == 8 and not found.path
  assert "data.folder.listings to a folder that all can write" in caplog.text


def test_what_has_changed_is_counted_and_named(root, tmp_path):
  before = walk.scan(root, SUFFIXES)
  files.keep(str(tmp_path), before)
  assert files.differences(str(tmp_path), walk.scan(root, SUFFIXES)) == []
  write(root, *(f"new/{i}.jpg" for i in range(1234)))
  (root / "a.jpg").unlink()
  (root / "a/1.jpg").write_bytes(b"of another length")
  assert files.differences(str(tmp_path), walk.scan(root, SUFFIXES)) == [
    "1,234 files added ('new/0.jpg', 'new/1.jpg', 'new/10.jpg', ...)",
    "1 file removed ('a.jpg')",
    "1 file of another size ('a/1.jpg')",
  ]
  assert files.differences(str(tmp_path), None) == []
  assert files.differences(str(tmp_path / "old run"), before) == []


def test_files_of_another_time_are_told_unless_the_whole_set_was_moved(root, tmp_path):
  files.keep(str(tmp_path), walk.scan(root, SUFFIXES))
  assert files.written_anew(str(tmp_path), walk.scan(root, SUFFIXES)) == ""
  os.utime(root / "a.jpg", (1, 1))
  told = files.written_anew(str(tmp_path), walk.scan(root, SUFFIXES))
  assert told.startswith("1 of 8 files was written since the run began ('a.jpg'), with")
  for path in walk.scan(root, SUFFIXES):
    os.utime(root / path, (1, 1), follow_symlinks=False)
  assert files.written_anew(str(tmp_path), walk.scan(root, SUFFIXES)) == ""


def test_a_source_says_the_same_of_its_files_as_before_there_were_lists(root):
  # Made once at 65c2af7: runs that began then have it in data.json.
  source = data.build("folder", split="train", path=str(root), labels="none")
  assert source.content() == CONTENT


CONTENT = "9e7450bf879cd9908c318de670119be1949eb26c043d5ee8acf76245aa3c78aa"


@pytest.mark.parametrize("known_by_name", [False, True])
def test_a_hidden_folder_of_images_is_told_unless_a_system_or_a_program_made_it(
  tmp_path, caplog, known_by_name
):
  system = (".git", ".cache", ".ipynb_checkpoints", ".thumbnails", ".Trash-1000", "@eaDir")
  names = ["cat/1.jpg", ".net/1.jpg", ".net/2.jpg", "dog/.old/3.JPG", ".a/a.txt", ".b/._1.jpg"]
  names += [f"{folder}/1.jpg" for folder in (*system, "__MACOSX")] + [".git/.old/1.jpg"]
  write(tmp_path, *names)
  if known_by_name:
    found = walk.of_names(tmp_path, dict.fromkeys(names, 1), SUFFIXES)
  else:
    found = walk.scan(tmp_path, SUFFIXES)
  assert list(found) == ["cat/1.jpg"]
  (line,) = [text for text in caplog.messages if "begin with a dot" in text]
  assert f"under {tmp_path}, " in line and line.endswith(
    "hold images: .net, dog/.old; rename those that are classes"
  )
