"""The nearest rows of queries, however the rows come in pieces."""

import errno
import os

import numpy as np
import pytest
from PIL import Image
from test_embed import ONE, asked, saved

from contrastive_jax import errors
from contrastive_jax.embedding import neighbours
from contrastive_jax.embedding.nearest import Nearest
from contrastive_jax.evaluation import features, tiles


def test_pieces_give_what_all_rows_at_once_give():
  rng = np.random.default_rng(0)
  queries, rows = rng.normal(size=(5, 8)), rng.normal(size=(40, 8))
  index = np.arange(100, 140)
  found = Nearest(queries, k=3)
  for start in range(0, 40, 7):
    found.add(rows[start : start + 7], index[start : start + 7], np.array([105, -1, -1, -1, -1]))
  cosine = queries @ rows.T
  cosine /= np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(rows, axis=1)
  cosine[0, 5] = -2  # a query is no neighbour of itself
  order = np.argsort(-cosine, axis=1)[:, :3]
  np.testing.assert_array_equal(found.index, index[order])
  np.testing.assert_allclose(found.cosine, np.take_along_axis(cosine, order, 1), atol=1e-6)


def test_fewer_rows_than_neighbours_leave_places_empty():
  found = Nearest(np.ones((1, 2)), k=3)
  found.add(np.ones((2, 2)), np.array([4, 7]))
  assert found.index.tolist() == [[4, 7, -1]]


def test_a_query_by_file_finds_the_same_image_of_the_set(tmp_path, monkeypatch):
  """The picture has a row for each query; a copy of image 7 has it as its nearest, at cosine 1."""
  workdir = saved(tmp_path / "run", "byol")
  config = asked(layers=("stem",))  # of fresh weights h points one way whatever the image
  source = neighbours.pieces.opened(config, workdir, "config", "train", ONE).split.source
  Image.fromarray(source[7]["image"]).save(tmp_path / "copy.png")
  shown = []
  png = tiles.png
  monkeypatch.setattr(tiles, "png", lambda rows, title: shown.extend(rows) or png(rows, title))
  queries = [str(tmp_path / "copy.png"), "7"]
  out = tmp_path / "n.png"
  neighbours.run(config, workdir, queries, str(out), k=2, devices=ONE)
  by_file, by_number = ([tile.small for tile in row] for row in shown)
  assert by_file[:2] == ["query", "7"] and shown[0][1].caption.startswith("1.00 ")
  assert "7" not in by_number, "a query of the set is no neighbour of its own"
  with Image.open(out) as picture:
    assert picture.width > 300
  (tmp_path / "broken.png").write_bytes(b"no image")
  wrong = [
    ("64", "outside 0..63"),
    ("-1", "outside 0..63"),
    ("--5", "there is no such file"),
    (str(tmp_path / "broken.png"), "cannot be read"),
    (str(tmp_path / "none.png"), "there is no such file"),
  ]
  for query, line in wrong:
    with pytest.raises(errors.UserError, match=line):
      neighbours.run(config, workdir, [query], str(out), k=2, devices=ONE)


def test_a_picture_that_has_no_place_is_told_before_anything_is_computed(tmp_path, monkeypatch):
  def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")

  workdir = saved(tmp_path / "run", "simclr")
  monkeypatch.setattr(os, "fsync", full)
  monkeypatch.setattr(features, "collect", lambda *_, **__: pytest.fail("computed"))
  with pytest.raises(errors.SaveFailed, match="the picture cannot be written to .*/new"):
    neighbours.run(
      asked(layers=("h",)), workdir, ["3"], str(tmp_path / "new" / "n.png"), k=2, devices=ONE
    )
  assert not (tmp_path / "new").exists()


def test_scans_of_12_bits_are_looked_at_in_the_range_of_the_run(tmp_path, monkeypatch):
  """In the upper 8 of 16 bits they are nearly black, the query and the tiles."""
  values = np.random.default_rng(0).integers(0, 4096, (6, 16, 16)).astype(np.uint16)
  for number, scan in enumerate(values):
    (tmp_path / "set" / "train").mkdir(parents=True, exist_ok=True)
    Image.fromarray(scan).save(tmp_path / "set" / "train" / f"{number}.png")
  folder = {"data__source": "folder", "data__folder__path": str(tmp_path / "set")}
  folder["data__folder__layout"] = "known"
  workdir = saved(tmp_path / "run", "simclr", data__value_range=(0.0, 4095.0), **folder)
  shown = []
  monkeypatch.setattr(tiles, "png", lambda rows, title: shown.extend(rows) or b"")
  queries = [str(tmp_path / "set" / "train" / "2.png"), "2"]
  config = asked(layers=("stem",))
  neighbours.run(config, workdir, queries, str(tmp_path / "n.png"), k=6, devices=ONE)
  assert shown[0][1].caption.startswith("1.00") and shown[0][1].small == "2.png"
  for row in shown:
    brightest = [tile.image.max() for tile in row]
    assert min(brightest) > 240, "4,095 is white"
