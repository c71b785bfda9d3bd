"""Slices and held-out parts: stable when files are added, and the same for all who ask."""

import numpy as np
import pytest
from PIL import Image

from contrastive_jax import config, data, errors, run_images
from contrastive_jax.data import identity, parts


def write(root, names):
  for name in names:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (2, 2)).save(root / name)


def files(root, split, **options):
  """The paths of the images of a split."""
  source = data.build("folder", split=split, path=str(root), **options)
  assert [source[i]["index"] for i in range(len(source))] == list(range(len(source)))
  whole, positions = parts._located(source)
  return {whole.paths[i] for i in positions}


NAMES = [f"{c}/{i}.png" for c in ("cat", "dog") for i in range(50)]


@pytest.fixture
def root(tmp_path):
  write(tmp_path / "set", NAMES)
  return tmp_path / "set"


def test_slices_of_hundredths_stay_when_files_are_added(root):
  first, rest = files(root, "train[:80%]"), files(root, "train[80%:]")
  assert not first & rest and first | rest == set(NAMES)
  assert 70 <= len(first) <= 90, "by chance: a standard deviation of 4"
  assert files(root, "train[-20%:]") == rest
  assert files(root, "train[:40%]") | files(root, "train[40%:80%]") == first
  more = [f"cat/more{i}.png" for i in range(50)]
  write(root, more)
  assert files(root, "train[:80%]") & set(NAMES) == first
  assert 30 <= len(files(root, "train[:80%]") & set(more)) <= 48


def test_slices_of_counts_have_so_many(root):
  first = files(root, "train[:30]")
  assert len(first) == 30 and files(root, "train[30:]") == set(NAMES) - first
  assert len(files(root, "train[-10:]")) == 10 and files(root, "train[:1000]") == set(NAMES)
  assert {name[:3] for name in first} == {"cat", "dog"}, "not the first in order"
  assert files(root, "train[10:30]") < first
  with pytest.raises(errors.UserError, match=r"'train\[100:\]' holds none of the 100 images"):
    files(root, "train[100:]")
  with pytest.raises(errors.UserError, match=r"120% is outside 0 % to 100 %"):
    files(root, "train[:120%]")
  for wrong in ("train[:10", "train[0.5:]", "train[10]", "train[::2]"):
    with pytest.raises(errors.UserError, match="is no slice of a split; write e.g. train"):
      files(root, wrong)


def test_a_part_held_out_is_the_split_test_and_stays(root):
  train, test = files(root, "train", holdout=0.2), files(root, "test", holdout=0.2)
  assert not train & test and train | test == set(NAMES) and 8 <= len(test) <= 32
  assert files(root, "train", holdout=0.1) > train
  write(root, [f"dog/more{i}.png" for i in range(50)])
  assert files(root, "test", holdout=0.2) & set(NAMES) == test
  assert files(root, "train[:50%]", holdout=0.2) < files(root, "train", holdout=0.2)


def test_of_a_set_with_a_test_split_nothing_is_held_out(tmp_path):
  write(tmp_path, ["train/cat/0.png", "Testing/cat/1.png"])
  for split in ("train", "test"):
    with pytest.raises(errors.UserError, match="data.folder.holdout 0.1 .* there is one already"):
      files(tmp_path, split, holdout=0.1)
  with pytest.raises(errors.UserError, match="no sub-folder 'val' .*holdout=0.1"):
    files(tmp_path, "val")
  with pytest.raises(errors.UserError, match="data.folder.holdout 1.5 is outside 0 to 1"):
    files(tmp_path, "train", holdout=1.5)


def test_images_without_names_are_parted_by_their_index(tmp_path):
  images = np.arange(200, dtype=np.uint8)[:, None, None].repeat(3, 2)[..., None].repeat(3, 3)
  np.savez(tmp_path / "short.npz", images=images[:100])
  np.savez(tmp_path / "long.npz", images=images)

  def held(name, split, **options):
    source = data.build("npz", split=split, path=str(tmp_path / name), **options)
    return {int(source[i]["image"].flat[0]) for i in range(len(source))}

  short = held("short.npz", "test", holdout=0.3)
  assert (
    15 <= len(short) <= 45 and held("short.npz", "train", holdout=0.3) == set(range(100)) - short
  )
  assert held("long.npz", "test", holdout=0.3) & set(range(100)) == short
  assert held("short.npz", "train[:50%]") | held("short.npz", "train[50%:]") == set(range(100))
  shapes = data.build("shapes", split="train[:25%]", num_train=64, size_px=8)
  assert 6 <= len(shapes) <= 26 and shapes[0]["index"] == 0


def test_the_hash_of_a_name_is_written_down():
  """Else a new version of a package could part a set otherwise: xxhash 4.1.0 gave these."""
  assert parts._hashes(range(3), 1).tolist() == HASHES


HASHES = [11419842122227548259, 10032774159768764581, 10685000989258189740]


def test_parts_know_what_they_share(root):
  def source(split, path=root, **options):
    return data.build("folder", split=split, path=str(path), **options)

  first, rest, whole = source("train[:60%]"), source("train[60%:]"), source("train")
  assert parts.in_common(first, rest) == parts.in_common(rest, first) == 0
  assert parts.in_common(first, source("train[:30%]")) == len(source("train[:30%]"))
  assert parts.in_common(whole, first) == parts.in_common(first, whole) == len(first)
  cats = source("train", root / "cat")
  inside = sum(path.startswith("cat/") for path in files(root, "train[:60%]"))
  assert parts.in_common(first, cats) == parts.in_common(cats, first) == inside


def test_a_run_on_a_part_trains_on_that_and_warns_of_what_it_shares(root, caplog):
  c = config.pretrain()
  c.data.source, c.data.folder.path = "folder", str(root)
  c.data.split, c.data.eval_split, c.data.held_out = "train[:60%]", "train[50%:]", 10
  trained, held_out = run_images.training_set(c)
  whole = run_images.source(c, c.data.split)
  assert len(trained) + len(held_out) == len(whole)
  shared = len(files(root, "train[50%:60%]"))
  run_images.warn_if_scored_on_itself(c, whole, run_images.source(c, c.data.eval_split))
  assert f"{shared} of the " in caplog.text
  told = identity.of(trained)
  c.data.split = "train[:61%]"
  assert identity.of(run_images.training_set(c)[0])["content"] != told["content"]
