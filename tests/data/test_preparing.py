"""Prepared shards hold what the source does, whole or not at all, whoever makes them."""

import copy
import errno
import json
import os
import signal
import subprocess
import sys
import time

import commands
import numpy as np
import picture_sets
import pytest

from contrastive_jax import data, errors, reading
from contrastive_jax.data import identity, jpeg, one_shard, pipeline, preparing

SMALL = preparing.Kept(size_px=6, kind="png", images_per_shard=5)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
  monkeypatch.setattr(reading, "PAUSES_S", (0.0,))


def folder(root, change=lambda rows: rows):
  source, options = picture_sets.write("folder", root / "pictures", change)
  return data.build(source, split="train", **options)


def opened(out, split="train", **options):
  return data.build("arrayrecord", split=split, path=str(out), **options)


def batches(source, size_px, **options):
  options = {"batch_size": 4, "seed": 1, "total_steps": 7, "cache": "none"} | options
  return list(pipeline.train_batches(source, host_size_px=size_px, **options))


def assert_same(found, wanted):
  for batch, other in zip(found, wanted, strict=True):
    for key in other:
      np.testing.assert_array_equal(batch[key], other[key], err_msg=key)


def shards(out):
  return {path.name: path.read_bytes() for path in sorted(out.glob("*.arrayrecord"))}


@pytest.mark.parametrize("kind", one_shard.LOSSLESS)
@pytest.mark.parametrize("size_px", [6, None])
def test_what_loses_nothing_gives_the_tensors_of_the_source(tmp_path, kind, size_px):
  source = folder(tmp_path)
  how = preparing.Kept(size_px=size_px, kind=kind, images_per_shard=5)
  assert preparing.prepare(source, "train", tmp_path / "out", how)
  made = opened(tmp_path / "out")
  assert made.label_names == picture_sets.CLASSES and made.num_classes == 3
  assert_same(batches(made, size_px or 8), batches(source, size_px or 8))
  assert identity.of(made)["content"] != identity.of(source)["content"]  # it is shrunk


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_what_loses_something_is_near(tmp_path, kind):
  rows = [(f"{i}", picture_sets.png(np.full((8, 8, 3), 20 * i, np.uint8)), i % 3) for i in range(9)]
  source = folder(tmp_path, lambda _: rows)
  how = preparing.Kept(kind=kind, quality=90)
  preparing.prepare(source, "train", tmp_path / "out", how)
  for example, other in zip(opened(tmp_path / "out"), source, strict=True):
    assert abs(example["image"].astype(int) - other["image"]).max() <= 4


def test_an_image_that_cannot_be_read_keeps_its_place_and_its_stand_in(tmp_path):
  def damaged(rows):
    rows = copy.copy(rows)
    rows[5] = (rows[5][0], rows[5][1][:30], rows[5][2])
    return rows

  source = folder(tmp_path, damaged)
  preparing.prepare(source, "train", tmp_path / "out", SMALL)
  made = opened(tmp_path / "out")
  assert_same(batches(made, 6), batches(source, 6))
  with pytest.raises(data.Unreadable, match=r"pictures/train/\w+/005.png: "):
    made[5]


def test_parts_make_the_files_that_one_makes_and_the_last_finishes(tmp_path):
  source = folder(tmp_path)
  preparing.prepare(source, "train", tmp_path / "one", SMALL)
  done = [
    preparing.prepare(source, "train", tmp_path / "all", SMALL, part=part, parts=3)
    for part in (2, 0, 1)
  ]
  assert done == [False, False, True]
  assert shards(tmp_path / "all") == shards(tmp_path / "one")
  assert (tmp_path / "all" / "train.json").read_text() == (
    tmp_path / "one" / "train.json"
  ).read_text()


def test_a_set_that_is_not_finished_is_not_read(tmp_path):
  preparing.prepare(folder(tmp_path), "train", tmp_path / "out", SMALL, part=0, parts=2)
  with pytest.raises(errors.UserError, match="the split train is not finished; give the same"):
    opened(tmp_path / "out")


def test_a_second_time_makes_nothing_again(tmp_path, monkeypatch):
  source = folder(tmp_path)
  preparing.prepare(source, "train", tmp_path / "out", SMALL)
  monkeypatch.setattr(preparing.Kept, "encode", None)  # it would be called
  assert preparing.prepare(source, "train", tmp_path / "out", SMALL, check=True)


def test_a_shard_that_is_gone_or_damaged_is_made_again(tmp_path):
  source, out = folder(tmp_path), tmp_path / "out"
  preparing.prepare(source, "train", out, SMALL)
  whole, names = shards(out), sorted(shards(out))
  (out / names[0]).unlink()
  (out / names[1]).write_bytes(whole[names[1]][:-1])
  content = bytearray(whole[names[2]])
  content[len(content) // 2] ^= 1
  (out / names[2]).write_bytes(content)
  preparing.prepare(source, "train", out, SMALL)
  assert [shards(out)[n] == whole[n] for n in names] == [True, True, False]
  preparing.prepare(source, "train", out, SMALL, check=True)
  assert shards(out) == whole


def test_shards_of_several_decoders_are_told_before_and_after(tmp_path, monkeypatch, caplog):
  source, out = folder(tmp_path), tmp_path / "out"
  preparing.prepare(source, "train", out, SMALL, part=0, parts=2)
  monkeypatch.setattr(jpeg, "decoder", lambda: "another 1.0")
  caplog.clear()
  preparing.prepare(source, "train", out, SMALL)
  told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
  assert len(told) == 2 and told[0] == told[1]
  assert "(another 1.0) and by (" in told[0]
  named = [shard["decoder"] for shard in json.loads((out / "train.json").read_text())["shards"]]
  assert named.count("another 1.0") == 1 and len(named) == 3


def test_a_set_of_one_decoder_says_nothing(tmp_path, caplog):
  preparing.prepare(folder(tmp_path), "train", tmp_path / "out", SMALL, part=0, parts=2)
  preparing.prepare(folder(tmp_path), "train", tmp_path / "out", SMALL)
  assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_another_set_in_the_same_folder_is_refused(tmp_path):
  source = folder(tmp_path)
  preparing.prepare(source, "train", tmp_path / "out", SMALL, part=0, parts=2)
  for how, said in (
    (preparing.Kept(size_px=5, kind="png", images_per_shard=5), "--size_px 6 -> 5"),
    (preparing.Kept(size_px=6, images_per_shard=5), "--format png -> jpeg"),
  ):
    with pytest.raises(errors.UserError, match=said):
      preparing.prepare(source, "train", tmp_path / "out", how)
  other = folder(tmp_path / "other", lambda rows: rows[1:])
  with pytest.raises(errors.UserError, match="images 12 -> 11"):
    preparing.prepare(other, "train", tmp_path / "out", SMALL)


@pytest.mark.parametrize("damage", ["shard gone", "shard short", "labels", "json", "extra"])
def test_a_prepared_set_that_was_copied_in_part_is_refused_in_a_line(tmp_path, damage):
  out = tmp_path / "out"
  preparing.prepare(folder(tmp_path), "train", out, SMALL)
  first, *_, last = sorted(shards(out))
  if damage == "shard gone":
    (out / last).unlink()
  elif damage == "shard short":
    (out / last).write_bytes((out / first).read_bytes())
  elif damage == "labels":
    np.save(out / "train.labels.npy", np.zeros(12, np.int32))
  elif damage == "json":
    (out / "train.json").write_text((out / "train.json").read_text()[:400])
  else:
    (out / "train-00009-of-00003.arrayrecord").write_bytes((out / first).read_bytes())
  with pytest.raises(errors.UserError) as error:
    opened(out)
  assert "\n" not in str(error.value) and str(out) in str(error.value)


def test_a_disk_that_is_full_ends_so_that_it_goes_on(tmp_path, monkeypatch):
  from array_record.python import array_record_module

  true, source, out = array_record_module.ArrayRecordWriter, folder(tmp_path), tmp_path / "out"

  class Full:
    def __init__(self, path, options):
      self._writer, self._left = true(path, options), 3

    def write(self, record):
      self._left -= 1
      if not self._left:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
      self._writer.write(record)

    def close(self):
      self._writer.close()

  monkeypatch.setattr(array_record_module, "ArrayRecordWriter", Full)
  with pytest.raises(errors.SaveFailed, match="No space left.*goes on with the shards"):
    preparing.prepare(source, "train", out, SMALL)
  assert not [path for path in out.iterdir() if path.name.endswith(".tmp")]
  monkeypatch.setattr(array_record_module, "ArrayRecordWriter", true)
  assert preparing.prepare(source, "train", out, SMALL)


def test_pixels_of_more_than_8_bits_are_not_cut_down(tmp_path):
  (tmp_path / "scans").mkdir()
  np.save(tmp_path / "scans" / "0.npy", np.arange(64.0).reshape(8, 8))
  source = data.build("folder", split="train", path=str(tmp_path / "scans"), npy=True)
  with pytest.raises(errors.UserError, match="'train' do not have 8 bits"):
    preparing.prepare(source, "train", tmp_path / "out", SMALL)


def test_two_do_not_make_the_same_part_nor_the_same_shard(tmp_path):
  source, out = folder(tmp_path), tmp_path / "out"
  notes = preparing.begin(source, "train", out, SMALL).notes
  for name, said in (("0-of-1", "part 0 of 1"), ("00001", "shard 1 of 3")):
    with one_shard.alone(notes / f"{name}.lock", said):
      with pytest.raises(errors.UserError, match=f"process .* makes {said}"):
        preparing.prepare(source, "train", out, SMALL)


_SLOW = """
import sys, time
from contrastive_jax import data
from contrastive_jax.data import preparing
true = preparing.Kept.encode
def slow(self, image):
  time.sleep(0.02)
  return true(self, image)
preparing.Kept.encode = slow
import pathlib
source = data.build("folder", split="train", path=sys.argv[1])
how = preparing.Kept(size_px=6, kind="png", images_per_shard=5)
print("begun", flush=True)
preparing.prepare(source, "train", pathlib.Path(sys.argv[2]), how, num_threads=1)
"""


def test_what_is_killed_goes_on_and_ends_in_the_same_files(tmp_path):
  source, out = folder(tmp_path), tmp_path / "out"
  preparing.prepare(source, "train", tmp_path / "whole", SMALL)
  for pause_s in (0.06, 0.15, 0.24):
    words = [sys.executable, "-c", _SLOW, str(tmp_path / "pictures"), str(out)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    process.stdout.readline()
    time.sleep(pause_s)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
  assert preparing.prepare(source, "train", out, SMALL)
  assert shards(out) == shards(tmp_path / "whole")
  assert not [path for path in out.iterdir() if path.name.endswith(".tmp")]


def test_the_command_copies_splits_and_names_what_reads_them(tmp_path, capsys):
  picture_sets.write("folder", tmp_path / "set")
  given = ["--config.data.source=folder", f"--config.data.folder.path={tmp_path}/set"]
  more = [f"--out={tmp_path}/out", "--size_px=6", "--format=webp", "--splits=train,test"]
  commands.run("prepare", [*given, *more])
  said = capsys.readouterr()
  assert f"--config.data.arrayrecord.path={tmp_path}/out" in said.out
  assert "train: 12 of 12 images of this part" in said.err
  assert [len(opened(tmp_path / "out", split)) for split in ("train", "test")] == [12, 6]
  shard = json.loads((tmp_path / "out" / "train.json").read_text())["shards"][0]
  assert shard["images"] == 12 and len(shard["xxh3_128"]) == 32


def test_several_splits_as_one_are_prepared_each_and_read_as_the_source_is(tmp_path, capsys):
  for number, name in enumerate(("train/ant/1", "train/bee/2", "extra/bee/1", "test/ant/1")):
    path = tmp_path / "set" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture_sets.png(np.full((4, 4, 3), number, np.uint8)))
  given = ["--config.data.source=folder", f"--config.data.folder.path={tmp_path}/set"]
  more = [f"--out={tmp_path}/out", "--format=png"]
  commands.run("prepare", [*given, *more, "--splits=train + extra,test,train"])
  assert capsys.readouterr().out.endswith("/out --config.data.split=train+extra\n")
  commands.run("prepare", [*given, *more, "--config.data.split=train+extra"])
  twin = data.build("folder", split="train+extra", path=f"{tmp_path}/set")
  found = opened(tmp_path / "out", "train+extra")
  assert found.labels.tolist() == twin.labels.tolist() == [0, 1, 1]
  assert found.label_names == twin.label_names
  for i in range(3):
    np.testing.assert_array_equal(found[i]["image"], twin[i]["image"])
  for split, message in (
    ("train+extra[:9]", 'split "extra[:9]" is a slice, and files are named after whole'),
    ("train+training", "train and training are the same 2 images of "),
    ("both+all", 'split "both+all" is no file name'),
  ):
    (tmp_path / "set" / "both+all").mkdir(exist_ok=True)
    (tmp_path / "set" / "both+all" / "1.png").write_bytes(path.read_bytes())
    with pytest.raises(SystemExit) as left:
      commands.run("prepare", [*given, *more, f"--splits={split}"])
    assert left.value.code == 2 and message in capsys.readouterr().err


def test_a_split_that_is_not_there_is_told_before_another_is_made(tmp_path, capsys):
  write = ("--config.data.source=folder", "--splits=train,val", f"--out={tmp_path / 'out'}")
  folder(tmp_path)
  with pytest.raises(SystemExit) as left:
    commands.run("prepare", [*write, f"--config.data.folder.path={tmp_path / 'pictures'}"])
  assert left.value.code == 2 and "has no sub-folder 'val'" in capsys.readouterr().err
  assert not shards(tmp_path / "out")


def test_splits_that_number_classes_differently_are_refused_before_anything_is_made(
  tmp_path, capsys
):
  for split, classes in (("a/train", "ant cat dog"), ("b/test", "cat dog"), ("c/val", "ant cat")):
    for name in classes.split():
      path = tmp_path / split / name / "1.png"
      path.parent.mkdir(parents=True)
      path.write_bytes(picture_sets.png(np.zeros((4, 4, 3), np.uint8)))

  def prepare(source, split):
    given = "--config.data.source=folder", f"--config.data.folder.path={tmp_path / source}"
    commands.run("prepare", [*given, f"--splits={split}", f"--out={tmp_path / 'out'}"])

  prepare("a", "train")
  prepare("c", "val")  # one may know more of them
  with pytest.raises(SystemExit) as ended:
    prepare("b", "test")
  said = capsys.readouterr().err
  assert ended.value.code == 2
  assert "class 0 is 'cat' in the split 'test' and 'ant' in 'train' of " in said
  assert not list((tmp_path / "out").glob("test*"))
