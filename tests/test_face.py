"""The public interface: short names that do what a notebook needs, and print what one looks for."""

import inspect
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from conftest import REPOSITORY
from PIL import Image

import contrastive_jax as cj
from contrastive_jax import data
from contrastive_jax.report import page, write

TINY = {
  "epochs": 2,
  "batch_size": 32,
  "image_size_px": 16,
  "log.every_steps": 1,
  "log.views": False,
  "data.shapes.size_px": 16,
  "data.shapes.num_train": 64,
  "data.shapes.num_test": 48,
  "data.held_out": 0,
  "optimizer.warmup_epochs": 0.0,
}


def tiny(**changes):
  return cj.pretrain_config("shapes/quickstart", **TINY | changes)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  return cj.train(tiny(), tmp_path_factory.mktemp("run"), jax.devices()[:1])


@pytest.fixture(scope="module")
def images():
  return np.random.default_rng(0).integers(0, 256, (6, 20, 14, 3), dtype=np.uint8)


def features(run, images, **options):
  return cj.features(run, images, batch_size=16, devices=jax.devices()[:1], **options)


def test_importing_the_package_loads_nothing_but_itself():
  ours = "[m for m in sys.modules if m.startswith('contrastive_jax')]"
  code = f"import sys, contrastive_jax; print({ours})"
  done = subprocess.run(
    [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
  )
  assert done.stdout == "['contrastive_jax']\n", done.stderr


def test_every_public_name_is_there_and_documented():
  for name in cj.__all__:
    assert getattr(cj, name).__doc__, name
    assert name in dir(cj)
  with pytest.raises(AttributeError, match="has no attribute 'trian'"):
    _ = cj.trian


def test_a_named_config_is_that_of_its_file_with_keys_changed():
  config = cj.pretrain_config("cifar10/byol:cpu", epochs=3, **{"optimizer.base_lr": 0.5})
  assert (config.method.name, config.method.momentum) == ("byol", 0.97)
  assert (config.epochs, config.optimizer.base_lr) == (3, 0.5)
  assert "cifar10/byol" in cj.config_names()


@pytest.mark.parametrize(
  ("change", "words"),
  [
    ({"bach_size": 3}, "config has no key bach_size; did you mean batch_size?"),
    ({"base_lr": 3}, "config has no key base_lr; did you mean optimizer.base_lr?"),
    ({"optimizer.base_rl": 3}, "config has no key optimizer.base_rl; did you mean optimizer.base_"),
  ],
)
def test_a_misspelt_key_is_refused_with_the_nearest(change, words):
  with pytest.raises(cj.UserError, match=words.replace("?", r"\?")):
    cj.pretrain_config("shapes/quickstart", **change)


def test_a_misspelt_key_is_refused_where_it_is_assigned():
  config, evaluation = tiny(), cj.evaluation_config("knn")
  with pytest.raises(AttributeError, match="no key bach_size; did you mean batch_size"):
    config.bach_size = 3
  with pytest.raises(AttributeError, match="no key warmup_epoch; did you mean warmup_epochs"):
    config.optimizer.warmup_epoch = 3
  with pytest.raises(AttributeError, match="no key layer; did you mean layers"):
    evaluation.layer = "z"
  with pytest.raises(AttributeError, match="no key train_shar; did you mean data.train_share"):
    evaluation.train_shar = 0.1
  with config.unlocked():  # as an own config file may
    config.bach_size = 3
  with pytest.raises(cj.UserError, match="no key bach_size; did you mean batch_size"):
    cj.train(config, "unused")


def test_an_evaluation_of_a_training_config_is_refused(tmp_path):
  with pytest.raises(cj.UserError, match="of an evaluation"):
    cj.pretrain_config("eval/knn")


def test_things_print_what_one_wants_to_see(trained):
  config = repr(tiny())
  assert "method.name" in config and "simclr" in config and "learning_rate" not in config
  assert "momentum" not in config, "what is as ever is not shown"
  assert len(config.splitlines()) < 40
  assert "base_lr" in repr(tiny().optimizer)
  assert "knn.k " in repr(cj.evaluation_config("knn"))
  assert "finetune" not in repr(cj.evaluation_config("knn"))
  assert "loss " in repr(trained) and len(repr(trained)) < 2000
  run = repr(cj.load(trained.workdir))
  assert run.startswith("step 4 of ") and len(run) < 3000
  assert "images in a global batch" in cj.describe(tiny())
  assert "neighbours" in cj.describe(cj.evaluation_config())


def test_training_returns_the_last_metrics_and_all_of_them(trained):
  losses = [line["loss"] for line in trained.history if "loss" in line]
  assert len(losses) == 4
  assert losses[-1] == pytest.approx(trained.metrics["loss"])


def test_evaluation_takes_names_or_a_config(trained):
  named = cj.evaluate(trained, "knn", devices=jax.devices()[:1])
  config = cj.evaluation_config("knn", **{"knn.k": 20})
  given = cj.evaluate(trained.workdir, config, devices=jax.devices()[:1])
  assert named["results"][0]["top1"] == given["results"][0]["top1"]
  assert repr(named).startswith("knn           checkpoint   h       top-1 ")


def assert_alike(found, wanted):
  """To rounding: canvases and batches of other sizes are other programs."""
  np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_features_of_an_array_a_list_files_and_a_folder_are_equal(trained, images, tmp_path):
  for number, image in enumerate(images):
    Image.fromarray(image).save(tmp_path / f"{number}.png")
  files = sorted(tmp_path.glob("*.png"))
  h = features(trained, images)
  assert (h.shape, h.dtype) == ((6, 64), np.float32)
  run = cj.load(trained.workdir)
  for same in (list(images), files, list(map(str, files)), tmp_path, str(tmp_path)):
    assert_alike(features(run, same), h)
  assert_alike(features(run, [images[0], str(files[1])]), h[:2])
  assert features(run, images, layer="z").shape == (6, 64)
  assert np.std(h, axis=0).max() > 0


def test_features_of_scans_are_those_in_the_range_of_the_run(trained, tmp_path):
  """The upper 8 of 16 bits would leave nothing of 12 bits but black."""
  grey = np.random.default_rng(0).integers(0, 256, (3, 16, 16), dtype=np.uint8)
  files = [tmp_path / f"{number}.png" for number in range(len(grey))]
  for file, level in zip(files, grey, strict=True):
    Image.fromarray((level * (4095 / 255)).round().astype(np.uint16)).save(file)
  run = cj.load(trained.workdir)
  colour = np.repeat(grey[..., None], 3, axis=-1)
  run.config.data.value_range = (0.0, 4095.0)
  assert_alike(features(run, files), features(run, colour))
  run.config.data.value_range = (0.0, 65535.0)
  assert abs(features(run, files) - features(run, colour)).max() > 1e-3


@pytest.mark.parametrize(
  ("wrong", "words"),
  [
    (np.zeros((0, 8, 8, 3), np.uint8), "there are no images"),
    ([], "there are no images"),
    (np.zeros((2, 8, 8), np.uint8), r"images have shape \[2, 8, 8\]; give uint8"),
    (np.full((2, 8, 8, 3), 7.0), r"item 0 of images: float pixels from 7 to 7 are outside 0..1"),
    ([np.zeros((8, 8, 4), np.uint8)], r"image 0: uint8 \[8, 8, 4\] is no RGB image"),
    (["nowhere.png"], 'image 0: there is no file "nowhere.png"'),
    ("nowhere", 'there is no folder or file "nowhere"'),
  ],
)
def test_images_that_cannot_be_used_are_named(trained, wrong, words):
  with pytest.raises(cj.UserError, match=words):
    features(trained, wrong)


def test_an_image_that_cannot_be_read_is_named_and_not_left_out(trained, images, tmp_path):
  Image.fromarray(images[0]).save(tmp_path / "good.png")
  (tmp_path / "bad.png").write_bytes(b"no image")
  with pytest.raises(cj.UserError, match="1 of 2 images cannot be read, the first is .*bad.png"):
    features(trained, tmp_path)


def test_a_folder_without_images_is_named(trained, tmp_path):
  with pytest.raises(cj.UserError, match="no image under"):
    features(trained, tmp_path)


class Pairs:
  """What a data set of another library looks like."""

  def __init__(self, split, first=0):
    self._source = data.build("shapes", split=split, num_train=64, num_test=48, size_px=16)
    self._first = first

  def __len__(self):
    return len(self._source)

  def __getitem__(self, index):
    example = self._source[(self._first + index) % len(self)]
    return example["image"], example["label"]


def test_an_object_is_trained_on_and_scored_as_the_same_images_of_a_source(trained, tmp_path):
  objects = {split: Pairs(split) for split in ("train", "test")}
  config, device = tiny(**{"data.host_size_px": 16}), jax.devices()[:1]
  alone = tiny()
  alone.data.source = "given"
  with pytest.raises(cj.UserError, match="these images are objects in Python; give them to train"):
    cj.train(alone, tmp_path / "none", device)
  run = cj.train(config, tmp_path / "run", device, images=objects)
  jax.tree.map(np.testing.assert_array_equal, run.state.params, trained.state.params)
  assert config.data.source == "shapes", "what was given is left as it was"
  assert cj.load(run).config.data.source == "given"
  cj.train(config, tmp_path / "run", device, images=objects)
  with pytest.raises(cj.UserError, match="holds a run on other images"):
    cj.train(config, tmp_path / "run", device, images=Pairs("train", first=1))
  scores = cj.evaluate(run, "knn", devices=device, images=objects)
  of_source = cj.evaluate(trained, "knn", devices=device)
  assert scores["results"][0]["top1"] == of_source["results"][0]["top1"]
  assert scores["test"] == 'split "test" of data source "given"'
  with pytest.raises(cj.UserError, match="these images are objects in Python"):
    cj.evaluate(run, "knn", devices=device)
  other = cj.evaluate(trained, "knn", devices=device, images=objects, out=tmp_path / "other")
  assert other["results"][0]["top1"] == of_source["results"][0]["top1"]
  found = features(run, objects["test"])
  assert found.shape[0] == 48


@pytest.fixture
def pages(monkeypatch):
  """What pages were drawn of: drawing itself takes seconds."""
  known = []
  monkeypatch.setattr(page, "draw", lambda one, _: known.append(one) or page.Drawn("<html>", {}))
  return known


def test_the_page_of_a_run_is_drawn_where_it_is_asked_for(trained, tmp_path, pages):
  config = cj.evaluation_config("knn", **{"data.split": "test"})
  for given, place in (({}, f"{trained.workdir}/report"), ({"out": tmp_path}, str(tmp_path))):
    path = cj.write_report(trained, config, sample=24, **given)
    assert path == f"{place}/index.html" and pathlib.Path(path).read_text() == "<html>"
  assert [len(one.sample.train.index) for one in pages] == [24, 24]
  assert pages[0].workdir == trained.workdir and pages[0].projections == ("pca",)
  assert pages[0].sample.train.name == 'split "test" of data source "shapes"'
  options = inspect.signature(cj.write_report).parameters
  assert options["sample"].default == write.IMAGES and options["seconds"].default == write.SECONDS
  with pytest.raises(cj.UserError, match="holds no run"):
    cj.write_report(tmp_path / "none")


def test_the_page_of_images_that_are_objects_is_drawn_of_these(trained, tmp_path, pages):
  objects = {split: Pairs(split) for split in ("train", "test")}
  cj.write_report(trained.workdir, sample=32, out=tmp_path, images=objects)
  (known,) = pages
  assert known.sample.test.name == 'split "test" of data source "given"'
  assert len(known.sample.train.index) == 32 and len(known.sample.test.index) == 16
  cj.write_report(trained, sample=32, out=tmp_path / "other")
  np.testing.assert_array_equal(known.sample.test.layers["h"], pages[1].sample.test.layers["h"])
