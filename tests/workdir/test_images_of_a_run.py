"""A run goes on with the images that it began with, or says what has changed."""

import json

import numpy as np
import pytest
import whole_runs
from PIL import Image
from tiny_config import tiny

from contrastive_jax import data, errors
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.data import identity, subset
from contrastive_jax.training import trainer
from contrastive_jax.workdir import loading


def write(root, *names):
  for name in names:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((16, 16, 3), len(name), np.uint8)).save(root / name)


def on_folder(path, **changes):
  c = tiny(epochs=1, batch_size=8, data__source="folder", data__host_size_px=16, **changes)
  c.data.folder.path = str(path)
  return c


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  """A run of one epoch on 16 images in two classes, and the folder of these."""
  root = tmp_path_factory.mktemp("images")
  write(root, *(f"{c}/{i:02}.png" for c in ("cat", "dog") for i in range(8)))
  workdir = tmp_path_factory.mktemp("run")
  trainer.train(on_folder(root), str(workdir), whole_runs.one_device())
  return root, workdir


def test_a_folder_that_grew_is_refused_until_it_is_said_to_be_meant(finished):
  root, workdir = finished
  before, lines = (workdir / "data.json").read_text(), (workdir / "metrics.jsonl").read_text()
  added = [f"{c}/{i}.png" for c in ("cat", "dog") for i in range(20, 28)]
  write(root, *added)
  told = r"other images: images 16 -> 32; 16 files added \('cat/20.png', .*\); give back those"
  with pytest.raises(errors.UserError, match=told):
    trainer.train(on_folder(root), str(workdir), whole_runs.one_device())
  assert (workdir / "data.json").read_text() == before
  assert (workdir / "metrics.jsonl").read_text() == lines
  with pytest.raises(errors.UserError, match="images 16 -> 32"):  # which says nothing of images
    trainer.train(on_folder(root, allow_config_change=True), str(workdir), whole_runs.one_device())
  allowed = on_folder(root, allow_data_change=True)
  now = identity.of(data.build("folder", split="train", path=str(root)))
  assert workdir_lib.check(str(workdir), allowed, now) == ["images 16 -> 32"]
  for name in added:
    (root / name).unlink()
  trainer.train(on_folder(root), str(workdir), whole_runs.one_device())


def test_the_same_images_at_another_place_are_the_same(finished, tmp_path):
  root, workdir = finished
  moved = tmp_path / "elsewhere"
  root.rename(moved)
  try:
    trainer.train(on_folder(moved), str(workdir), whole_runs.one_device())
  finally:
    moved.rename(root)


def test_a_run_from_before_the_stamp_goes_on_and_has_it_then(finished):
  root, workdir = finished
  stamp = (workdir / "data.json").read_text()
  (workdir / "data.json").unlink()
  trainer.train(on_folder(root), str(workdir), whole_runs.one_device())
  assert (workdir / "data.json").read_text() == stamp
  assert json.loads(stamp)["class names"] == ["cat", "dog"]


def test_a_stamp_that_is_damaged_is_named(finished):
  root, workdir = finished
  stamp = (workdir / "data.json").read_text()
  (workdir / "data.json").write_text('{"images": 16')
  with pytest.raises(errors.UserError, match="data.json cannot be read .*allow_data_change"):
    trainer.train(on_folder(root), str(workdir), whole_runs.one_device())
  (workdir / "data.json").write_text(stamp)
  assert loading.saved_steps(str(workdir)) == [2]


@pytest.mark.parametrize("as_unmounted", [True, False])
def test_images_that_are_away_are_no_mistake_of_a_run_that_had_them(
  finished, as_unmounted, tmp_path
):
  root, workdir = finished
  away = root.with_name("away")
  root.rename(away)
  if as_unmounted:
    root.mkdir()
  try:
    with pytest.raises(errors.ReadFailed, match="goes on once it is back"):
      trainer.train(on_folder(root), str(workdir), whole_runs.one_device())
    with pytest.raises(errors.UserError, match="no (image under|folder)"):
      trainer.train(on_folder(root), str(tmp_path), whole_runs.one_device())
  finally:
    if as_unmounted:
      root.rmdir()
    away.rename(root)


def test_a_change_that_was_allowed_is_told(finished, capfd):
  root, workdir = finished
  write(root, "dog/90.png")
  c = on_folder(root, allow_config_change=True, allow_data_change=True)
  c.seed = 1
  trainer.train(c, str(workdir), whole_runs.one_device())
  told = capfd.readouterr().err
  for change in ("seed 0 -> 1", "images 16 -> 17"):
    assert f"other than before, as was allowed: {change}\n" in told


def of_folder(root, **options):
  return identity.of(data.build("folder", split="train", path=str(root), **options))


@pytest.mark.parametrize(
  ("change", "told"),
  [
    (lambda root: write(root, "eel/0.png"), ["images 4 -> 5", "classes 2 -> 3", "with 'eel'"]),
    (lambda root: (root / "cat").rename(root / "cow"), ["without 'cat' and with 'cow'"]),
    (lambda root: (root / "cat/0.png").rename(root / "cat/7.png"), ["as many images"]),
    (lambda root: (root / "cat/0.png").rename(root / "dog/7.png"), ["as many images"]),
    (lambda root: (root / "cat/0.png").write_bytes(b"another"), ["as many images"]),
  ],
)
def test_what_changed_in_a_folder_is_told(tmp_path, change, told):
  write(tmp_path, "cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png")
  before = of_folder(tmp_path)
  assert identity.differences(before, of_folder(tmp_path)) == []
  change(tmp_path)
  changes = identity.differences(before, of_folder(tmp_path))
  assert len(changes) == len(told)
  assert all(word in line for word, line in zip(told, changes, strict=True)), changes


IMAGES = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3), np.uint8)
LABELS = np.array([2, 0, 1, 0])


@pytest.mark.parametrize(
  ("images", "labels", "same"),
  [
    (IMAGES, LABELS.astype(np.uint8), True),
    (IMAGES, LABELS[::-1], False),
    (IMAGES[::-1], LABELS, False),
    (IMAGES ^ 1, LABELS, False),
  ],
)
def test_arrays_are_known_by_pixels_and_labels(tmp_path, images, labels, same):
  def of(name, **arrays):
    np.savez(tmp_path / name, **arrays)
    return identity.of(data.build("npz", split="train", path=str(tmp_path / name)))

  before, now = of("a.npz", images=IMAGES, labels=LABELS), of("b.npz", images=images, labels=labels)
  assert bool(identity.differences(before, now)) != same


def test_a_part_of_a_set_is_another_than_the_whole_and_than_another_part(tmp_path):
  np.savez(tmp_path / "a.npz", images=IMAGES, labels=LABELS)
  source = data.build("npz", split="train", path=str(tmp_path / "a.npz"))
  parts = [subset.Subset(source, np.array(p)) for p in ([0, 1], [0, 1], [2, 3], [0, 1, 2])]
  told = [json.dumps(identity.of(part)) for part in [source, *parts]]
  assert told[1] == told[2] and len(set(told)) == 4
