"""Scans of 12 bits and images of five channels: trained, taken up again, and scored."""

import json

import jax
import numpy as np
import pytest
import tiny_config
import whole_runs
from PIL import Image

from contrastive_jax import errors, methods
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.evaluation import evaluate
from contrastive_jax.training import trainer

pytestmark = pytest.mark.slow
SIDE, SIZES = 16, {"train": 32, "test": 16}


def unit(rng, label):
  """An image in [0, 1]: noise, or stripes under it."""
  image = rng.uniform(0.0, 0.3, (SIDE, SIDE))
  image[:: 2 if label else SIDE] += 0.6
  return image


def write(root, save):
  rng = np.random.default_rng(0)
  for split, count in SIZES.items():
    for i in range(count):
      path = root / split / ("plain", "stripes")[i % 2] / f"{i:02d}"
      path.parent.mkdir(parents=True, exist_ok=True)
      save(path, unit(rng, i % 2), rng)
  return str(root)


def scan(path, image, rng):
  del rng
  Image.fromarray(np.round(image * 4095).astype(np.uint16)).save(path.with_suffix(".png"))


def five(path, image, rng):
  stack = [7.0 * image + rng.normal(0, 0.1, image.shape) for _ in range(5)]
  np.save(path.with_suffix(".npy"), np.stack(stack, -1).astype(np.float32))


def config(path, **changes):
  given = {"data__source": "folder", "data__folder__path": path, "data__host_size_px": SIDE}
  return tiny_config.tiny(**given, data__bits=16, epochs=1, **changes)


def stored(workdir):
  return json.loads((workdir / "config.json").read_text())


def scored(workdir):
  asked = eval_config.evaluation("knn", name="scores")
  asked.batch_size, asked.knn.k, asked.baselines = 16, 5, ("raw_pixels",)
  evaluate.run(asked, str(workdir))
  found = json.loads((workdir / "eval" / "scores.json").read_text())
  return {r["encoder"]: r["top1"] for r in found["results"] if r["layer"] in ("h", "pixels")}


@pytest.mark.parametrize(
  ("save", "wanted", "changes"),
  [
    (scan, [0.0, 4095.0], {"data__channels": 1}),
    (
      five,
      None,
      {
        "data__channels": 5,
        "data__folder__npy": True,
        "augment__recipe": "simclr",
        "augment__channels_of": ("color:0,1,2", "blur:3,4"),
      },
    ),
  ],
  ids=["scans", "five channels"],
)
def test_they_are_trained_taken_up_and_scored(tmp_path, save, wanted, changes):
  c = config(write(tmp_path / "set", save), **changes)
  workdir = tmp_path / "run"
  trainer.train(c, str(workdir), whole_runs.one_device())
  low, high = stored(workdir)["data"]["value_range"]
  assert [low, high] == wanted if wanted else (low < 0.2 and 5 < high < 8)
  c.epochs, c.allow_config_change = 2, True
  result = trainer.train(c, str(workdir), whole_runs.one_device())  # the range is the run's own
  assert stored(workdir)["data"]["value_range"] == [low, high]
  kernel = jax.tree.leaves(result.state.params)
  assert any(leaf.ndim == 4 and leaf.shape[2] == c.data.channels for leaf in kernel)
  found = scored(workdir)
  assert found["raw_pixels"] == 1.0 and found["checkpoint"] >= 0.75, found


@pytest.mark.parametrize("name", ["autoencoder", "context_encoder"])
def test_a_method_that_paints_takes_three_channels(name):
  task = methods.Task(num_images=8, num_classes=0, batch_size=4, image_size_px=16, channels=1)
  with pytest.raises(errors.UserError, match="paints red, green and blue"):
    methods.get(name)().init_memory(None, {}, task, jax.random.key(0))
