"""An evaluation from the workdir of a run to its JSON file and its error lines.

One file for all that asks the run of its fixture, which is trained once.
"""

import errno
import json
import os
import pathlib

import jax
import numpy as np
import pytest

from contrastive_jax import build, errors, parallel, places, run_images
from contrastive_jax import config as config_lib
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.configs.shapes import quickstart
from contrastive_jax.data import pipeline
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.evaluation import evaluate, features, knn, linear_rates, progress, protocols
from contrastive_jax.step.state import TrainState
from contrastive_jax.training import trainer
from contrastive_jax.workdir import checkpoint, loading

ONE, TWO = jax.devices()[:1], jax.devices()[:2]


def _run_config():
  config = config_lib.pretrain("simclr", model="resnet8")
  config.image_size_px = 8
  config.model.width = 0.25
  config.model.stem = "cifar_s2"
  config.data.shapes.size_px = 8
  config.data.shapes.num_train = 70
  config.data.shapes.num_test = 37
  config.log.tensorboard = False
  return config


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  """A run whose checkpoint of step 5 holds fresh weights."""
  path, config = str(tmp_path_factory.mktemp("run")), _run_config()
  net = build.net(config)
  variables = jax.jit(lambda key: net.init(key, np.zeros((1, 8, 8, 3), np.float32), train=False))(
    jax.random.key(1)
  )
  state = TrainState(
    step=jax.numpy.asarray(5),
    params=variables["params"],
    stats=variables["batch_stats"],
    opt_state={"count": jax.numpy.zeros(())},
    memory={},
    probe={},
  )
  checkpoints = checkpoint.Checkpoints(path)
  checkpoints.save(5, state)
  checkpoints.close()
  workdir_lib.stamp(path, config)
  return path


def _eval_config(*protocols, **changes):
  """A quick evaluation; `changes` have "__" where keys have dots."""
  config = eval_config.evaluation(*protocols)
  config.batch_size = 32
  config.knn.k = 5
  config.linear_sgd.epochs, config.linear_sgd.min_steps, config.linear_sgd.rates = 2, 0, ()
  config.linear_sgd.batch_size = 16
  config.linear_lbfgs.num_penalties = 2
  config.linear_lbfgs.max_iterations = 30
  config.transformation.which, config.transformation.steps = ("color", "rotation"), 2
  config.transformation.hidden_size, config.transformation.rates = 8, (1e-3,)
  config.finetune.epochs, config.finetune.min_steps, config.finetune.batch_size = 1, 0, 32
  for key, value in changes.items():
    *sections, last = key.split("__")
    inner = config
    for name in sections:
      inner = inner[name]
    inner[last] = value
  return config


@pytest.fixture(scope="module")
def everything(workdir):
  """All protocols, both baselines."""
  config = _eval_config(*eval_config.PROTOCOLS, baselines=eval_config.BASELINES)
  config.name = "everything"
  return evaluate.run(config, workdir, ONE)


def test_every_encoder_and_protocol_gets_a_record(everything):
  encoders = (("checkpoint", "h"), ("random_init", "h"), ("raw_pixels", "pixels"))
  asked = [(*encoder, protocol) for encoder in encoders for protocol in eval_config.PROTOCOLS]
  asked.remove(("raw_pixels", "pixels", "finetune"))  # which have no weights
  results = everything["results"]
  assert [(r["encoder"], r["layer"], r["protocol"]) for r in results] == asked
  for record in results:
    assert (record["num_train"], record["num_test"]) == (70, 37)
    if record["protocol"] == "transformation":
      assert list(record["tasks"]) == ["color", "rotation"]
      assert all(0 <= record[name] <= 1 for name in ("top1", "color", "rotation"))
    elif record["protocol"] != "picture":
      assert 0 <= record["top1"] <= record["top5"] <= 1
      assert len(record["per_class"]) == len(everything["label_names"]) == 10
  by_layer = {r["layer"]: r["num_features"] for r in results}
  assert by_layer == {"h": 16, "pixels": 192}
  scored = {}
  for record in results:
    figures = (record.get(k) for k in ("top1", "top5", "train_top1"))
    scored.setdefault(record["encoder"], []).extend(figures)
  assert len({tuple(figures) for figures in scored.values()}) == 3  # three different encoders


def test_the_file_holds_what_run_returns(everything, workdir):
  path = pathlib.Path(workdir) / "eval" / "everything.json"
  assert json.loads(path.read_text()) == json.loads(json.dumps(everything))
  assert everything["checkpoint_step"] == 5
  assert everything["config"]["knn"]["k"] == 5
  assert {"jax", "git_commit", "device_kind"} <= set(everything["versions"])
  assert not list(path.parent.glob("*.tmp"))


def _held(workdir, name):
  """The layers whose scores the files of a name hold, by file."""
  paths = pathlib.Path(workdir, "eval").glob(f"{name}*.json")
  held = {path.name: json.loads(path.read_text())["results"] for path in paths}
  return {file: [record["layer"] for record in results] for file, results in held.items()}


def test_another_question_of_the_same_name_keeps_the_answer_before(workdir, caplog):
  first = _eval_config("knn", "picture", name="series")
  other = _eval_config("knn", "picture", name="series", layers=("z",))
  assert evaluate.run(first, workdir, ONE)["file"] == "series.json"
  assert caplog.text == ""
  assert evaluate.run(other, workdir, ONE)["file"] == "series-2.json"
  assert "series-2.json: series.json is of another evaluation" in caplog.text
  other.batch_size = 16  # which changes no answer
  evaluate.run(other, workdir, ONE)
  evaluate.run(first, workdir, ONE)
  assert _held(workdir, "series") == {"series.json": ["h", "h"], "series-2.json": ["z", "z"]}
  pictures = {path.name for path in pathlib.Path(workdir, "eval").glob("series*.png")}
  assert pictures == {"series_checkpoint_h.png", "series-2_checkpoint_z.png"}


def test_what_fails_does_not_take_the_results_before_it_away(workdir, monkeypatch):
  def fails(task, options):
    raise RuntimeError("no picture")

  monkeypatch.setattr(protocols, "picture", fails)
  asked = _eval_config("knn", "picture", name="half", layers=("h", "z"))
  with pytest.raises(RuntimeError, match="no picture"):
    evaluate.run(asked, workdir, ONE)
  assert _held(workdir, "half") == {"half.json": ["h"]}
  path = pathlib.Path(workdir, "eval", "half.json")
  assert not json.loads(path.read_text())["complete"]
  monkeypatch.undo()
  assert evaluate.run(asked, workdir, ONE)["complete"]
  assert _held(workdir, "half") == {"half.json": ["h", "h", "z", "z"]}


def test_a_result_that_cannot_be_written_is_one_line_and_is_printed(workdir, monkeypatch, capsys):
  def full(path, content):
    with errors.saving(str(path), then="give the same command again"):
      raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  monkeypatch.setattr(places, "write", full)
  with pytest.raises(errors.SaveFailed, match="full.json cannot .*same command again; .* stdout"):
    evaluate.run(_eval_config("knn", name="full"), workdir, ONE)
  (line,) = capsys.readouterr().out.splitlines()
  assert json.loads(line)["results"][0]["top1"] > 0


def _files(folder):
  return {p: p.read_bytes() for p in pathlib.Path(folder).rglob("*") if p.is_file()}


def test_with_another_folder_nothing_is_written_to_the_workdir(workdir, tmp_path):
  before, out = _files(workdir), tmp_path / "new" / "scores"
  for _ in range(2):  # the second replaces the first
    found = evaluate.run(_eval_config("knn", "picture", name="out"), workdir, ONE, str(out))
  assert found["file"] == "out.json"
  assert {p.name for p in out.iterdir()} == {"out.json", "out_checkpoint_h.png"}
  assert _files(workdir) == before


@pytest.mark.parametrize(
  "number, kind", [(errno.EROFS, errors.UserError), (errno.ENOSPC, errors.SaveFailed)]
)
def test_the_place_of_the_results_is_tried_before_features(number, kind, workdir, monkeypatch):
  def fails(file):
    raise OSError(number, os.strerror(number))

  monkeypatch.setattr(evaluate, "extract", lambda *_: pytest.fail("features are computed"))
  monkeypatch.setattr(os, "fsync", fails)
  with pytest.raises(kind, match=rf"{os.strerror(number)}.*another place for them, --out=DIR"):
    evaluate.run(_eval_config("knn", name="tried"), workdir, ONE)


def test_a_picture_that_cannot_be_written_is_one_line(workdir, monkeypatch):
  write = places.write

  def full(path, content):
    with errors.saving(str(path)):
      if path.suffix == ".png":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    write(path, content)

  monkeypatch.setattr(places, "write", full)
  with pytest.raises(errors.SaveFailed, match="drawn_checkpoint_h.png cannot be written .No space"):
    evaluate.run(_eval_config("knn", "picture", name="drawn"), workdir, ONE)
  assert _held(workdir, "drawn") == {"drawn.json": ["h"]}


def test_pictures_lie_beside_the_file(everything, workdir):
  files = [r["file"] for r in everything["results"] if r["protocol"] == "picture"]
  assert "everything_checkpoint_h.png" in files and len(set(files)) == 3
  for file in files:
    content = (pathlib.Path(workdir) / "eval" / file).read_bytes()
    assert content.startswith(b"\x89PNG") and len(content) > 10_000


def test_the_score_is_that_of_the_checkpoints_features(everything, workdir):
  loaded = loading.load_run(workdir)
  net, view = build.net(loaded.config), build.recipe(loaded.config)
  found = []
  for split in ("train", "test"):
    batches = pipeline.eval_batches(run_images.source(loaded.config, split), batch_size=32)
    found.append(
      features.extract(
        net, loaded.params, loaded.stats, batches, view=view, mesh=parallel.make_mesh(ONE)
      )
    )
  (x, label), (y, test_label) = ((f.layers["h"], f.label) for f in found)
  expected = knn.accuracy(x, label, y, test_label, 10, k=5, mesh=parallel.make_mesh(ONE))
  record = everything["results"][0]
  assert {k: record[k] for k in ("top1", "top5")} == expected


def test_what_takes_long_shows_where_it_is(workdir, capsys, monkeypatch):
  monkeypatch.setattr(progress, "_SILENCE", {"seconds": -1.0, "seconds_live": -1.0})
  rates = {"linear_sgd__rates": (0.1, 1.0), "linear_sgd__epochs": 40}
  monkeypatch.setattr(knn, "_BLOCK", 32)
  evaluate.run(_eval_config("knn", "linear_sgd", "linear_lbfgs", **rates), workdir, ONE)
  lines = [line for line in capsys.readouterr().err.splitlines() if "/" in line]
  shown = {}
  for line in lines:
    name, _, rest = (
      line.rpartition("  loss")[0].partition("  ") if "loss" in line else (line.partition("  "))
    )
    shown.setdefault(name, []).append(rest.split()[0])
  assert shown == {
    "features of checkpoint, batch": ["0/3", "1/3", "2/3", "0/2", "1/2"],  # 70 and 37 images
    "knn on h of checkpoint, training image": ["24/70", "48/70"],  # blocks alike
    "rates of linear_sgd on h of checkpoint, step": ["60/120"],  # as many at once, of 56 // 16
    "linear_sgd on h of checkpoint, step": [f"{i}/160" for i in range(1, 160)],
    "linear_lbfgs on h of checkpoint, fit": ["0/3", "1/3", "2/3"],
  }
  assert all(" left" in line for line in lines if line.partition("  ")[2].startswith("2/3"))


def test_what_comes_is_said_first_and_counted(workdir, capsys, caplog):
  caplog.set_level("INFO")
  baselines = {"baselines": eval_config.BASELINES}
  evaluate.run(_eval_config("knn", "picture", layers=("h", "z"), **baselines), workdir, ONE)
  assert (
    "10 result(s) to come: checkpoint, random_init, raw_pixels; layers h, z, pixels; "
    "knn, picture; 70 training images and 37 test images"
  ) in caplog.messages
  counts = [line[:9] for line in capsys.readouterr().out.splitlines()]
  assert counts == [f"{i:2} of 10 " for i in range(1, 11)]


@pytest.mark.parametrize(
  "asked, line",
  [
    ({"protocols": ("finetune",)}, "finetune.batch_size 33 is not divisible by 2 devices; use 32"),
    ({"protocols": ("knn",), "knn__k": 71}, "knn.k 71 exceeds the bank of 70 examples"),
    (
      {"protocols": ("linear_lbfgs",), "linear_lbfgs__validation_fraction": 0.001},
      "linear_lbfgs.validation_fraction 0.001 of 70 examples holds out 0",
    ),
    (
      {"protocols": ("linear_sgd",), "linear_sgd__validation_fraction": 0.001},
      "linear_sgd.validation_fraction 0.001 of 70 examples holds out 0",
    ),
    ({"layers": ("hh",)}, 'layer "hh" is unknown to this network'),
    ({"patch_grid": 7}, "a view of 8 px is too small for 7x7 patches"),
  ],
)
def test_what_cannot_be_scored_is_refused_before_features(asked, line, workdir, monkeypatch):
  monkeypatch.setattr(evaluate, "extract", lambda *_: pytest.fail("features are computed"))
  monkeypatch.setattr(places, "ready", lambda *_: pytest.fail("a folder is made"))
  config = _eval_config(**{"linear_sgd__rates": (0.1, 0.3)} | asked)
  config.finetune.batch_size = config.linear_sgd.batch_size = 33
  with pytest.raises(errors.UserError) as caught:
    evaluate.run(config, workdir, TWO)
  assert line in str(caught.value)


def test_a_probe_that_is_too_short_warns_in_one_line(workdir, capsys):
  evaluate.run(_eval_config("linear_sgd"), workdir, ONE)
  lines = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
  assert lines == [
    "warning: linear_sgd takes 8 steps in all, so its figure says little of the features; "
    "set linear_sgd.min_steps=1000"
  ]


def test_the_rate_is_chosen_without_a_look_at_the_test_images(workdir, monkeypatch):
  sets = {}

  def watched(x, label, num_classes, options, mesh, *, seed=0, progress=None):
    sets["seen"] = len(x)
    return 0.25, {0.25: 0.5, 0.5: 0.25}

  monkeypatch.setattr(linear_rates, "choose", watched)
  found = evaluate.run(_eval_config("linear_sgd", linear_sgd__rates=(0.25, 0.5)), workdir, ONE)
  (record,) = found["results"]
  assert sets["seen"] == record["num_train"] != record["num_test"]
  assert record["rate"] == 0.25 and record["validation_top1"] == {"0.25": 0.5, "0.5": 0.25}
  assert record["settings"]["rates"] == (0.25, 0.5)


def test_one_line_a_result_and_the_same_on_two_devices(everything, workdir, capsys):
  again = evaluate.run(_eval_config("knn", layers=("h", "z")), workdir, TWO)
  lines = capsys.readouterr().out.splitlines()
  assert [r["layer"] for r in again["results"]] == ["h", "z"]
  assert len(lines) == 2
  assert "k 5, tau 0.07, cosine; 16 features, 70 train, 37 test" in lines[0]
  assert f"top-1 {100 * again['results'][0]['top1']:5.2f} %" in lines[0]
  one, two = everything["results"][0], again["results"][0]
  assert one["top1"] == two["top1"] and one["per_class"] == two["per_class"]


def test_a_part_of_the_images_another_layer_and_another_label(workdir):
  config = _eval_config("knn", layers=("block1",), max_features=64)
  config.data.max_train, config.data.max_test = 50, 20
  config.data.label = "rotation"
  config.data.eval_split = "validation"
  found = evaluate.run(config, workdir, ONE)
  (record,) = found["results"]
  assert (record["num_train"], record["num_test"], record["num_features"]) == (50, 20, 64)
  assert len(record["per_class"]) == 4
  assert found["test"] == 'split "validation" of data source "shapes"'


def _npz(path, labelled=True):
  rng = np.random.default_rng(0)
  arrays = {"images": rng.integers(0, 256, (40, 12, 12, 3), np.uint8)}
  if labelled:
    arrays["labels"] = rng.integers(0, 3, 40)
  np.savez(path, **arrays)


def test_another_data_set_may_be_scored(workdir, tmp_path):
  _npz(tmp_path / "train.npz")
  _npz(tmp_path / "test.npz")
  config = _eval_config("linear_sgd", data__source="npz", linear_sgd__augment=True)
  config.data.npz.path = str(tmp_path / "{split}.npz")
  found = evaluate.run(config, workdir, ONE)
  (record,) = found["results"]
  assert (record["num_train"], record["num_test"], len(record["per_class"])) == (40, 40, 3)
  assert record["settings"]["augment"] is True


def test_an_option_of_the_runs_own_source_is_used(workdir):
  config = _eval_config("knn", data__shapes__num_test=21)
  (record,) = evaluate.run(config, workdir, ONE)["results"]
  assert (record["num_train"], record["num_test"]) == (70, 21)


def test_images_without_labels_can_be_drawn_and_transformed_but_not_scored(
  workdir, tmp_path, capsys
):
  _npz(tmp_path / "train.npz")
  _npz(tmp_path / "test.npz", labelled=False)
  config = _eval_config("knn", data__source="npz")
  config.data.npz.path = str(tmp_path / "{split}.npz")
  with pytest.raises(errors.UserError, match='split "test" of data source "npz" has no labels'):
    evaluate.run(config, workdir, ONE)
  config.protocols = ("picture", "transformation")
  capsys.readouterr()
  drawn, told = evaluate.run(config, workdir, ONE)["results"]
  assert drawn["num_test"] == told["num_test"] == 40
  line = capsys.readouterr().out.splitlines()[1]
  assert f"color {100 * told['color']:.2f} % (chance 80 %)  rotation " in line
  assert "% (chance 25 %)  (perceptron of 1 x 8, Adam at 0.001, 2 steps of 256; 16 fea" in line


def test_a_directory_without_a_run_or_a_checkpoint_is_named(tmp_path):
  with pytest.raises(errors.UserError, match=f"workdir {tmp_path} holds no run"):
    evaluate.run(None, str(tmp_path))
  workdir_lib.stamp(str(tmp_path), _run_config())
  with pytest.raises(errors.UserError, match=f"workdir {tmp_path} holds no checkpoint yet"):
    evaluate.run(None, str(tmp_path))
  assert not (tmp_path / "eval").exists()


@pytest.mark.parametrize(
  "changes, line",
  [
    ({"protocols": ("svm",)}, 'protocols has "svm"; use some of knn, linear_sgd, linear_lbfgs'),
    ({"baselines": ("zero",)}, 'baselines has "zero"; use some of random_init, raw_pixels'),
    ({"layers": ()}, "layers is empty; name at least one"),
    ({"layers": ("hh",)}, 'layer "hh" is unknown to this network; use one of block1, block2'),
    ({"name": "a/b"}, 'name "a/b" is no file name'),
    ({"batch_size": 0}, "batch_size 0 is below 1; use 1 or more"),
    ({"image_size_px": 0}, "image_size_px 0 is below 1; use e.g. 32"),
    ({"patch_grid": -1}, "patch_grid -1 is below 0; use 0 or more"),
    ({"patch_fraction": 0.0}, "patch_fraction 0.0 is outside (0, 1]; use e.g. 1"),
    ({"patch_grid": 7}, "a view of 8 px is too small for 7x7 patches; use a grid of 4 or less"),
    ({"data__max_test": -1}, "data.max_test -1 is negative; use 0 for all images"),
    ({"data__label": "taste"}, 'data.label "taste" is no factor of the source; it has shape,'),
    (
      {"data__npz__path": "a.npz"},
      "data.npz.path is 'a.npz', but the images are the run's own, of source \"shapes\"; add "
      "--config.data.source=npz",
    ),
    ({"checkpoint_step": 6}, "has no checkpoint of step 6; it has [5]"),
    (
      {"checkpoint_step": "best"},
      "has a kNN score, so none is the best; give the step of one of [5]",
    ),
    (
      {"checkpoint_step": "last"},
      "has no checkpoint of step last; it has [5], and best is the one",
    ),
    (
      {"checkpoint_step": 0.5},
      "checkpoint_step 0.5 is not a whole number or a word; the default is",
    ),
    ({"knn__k": 71}, "knn.k 71 exceeds the bank of 70 examples; use 70 or less"),
    ({"linear_sgd__momentum": 2.0}, "linear_sgd.momentum 2.0 is outside [0, 1)"),
    ({"protocols": ("picture",), "picture__method": "umap"}, 'picture.method "umap" is unknown'),
    ({"protocols": ("picture",), "picture__max_points": 2}, "picture.max_points 2 is below 3"),
  ],
)
def test_errors_name_value_limit_and_remedy(workdir, changes, line):
  with pytest.raises(errors.UserError) as caught:
    evaluate.run(_eval_config("knn", "linear_sgd", **changes), workdir, ONE)
  assert line in str(caught.value)
  assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_trained_run_beats_its_untrained_net(tmp_path):
  config = quickstart.get_config()
  config.epochs, config.batch_size = 6, 32
  config.seed = 1  # 96 steps are few: 0.25 of the images by kNN, with seed 0 0.17, untrained 0.11
  config.optimizer.base_lr = 0.6
  config.data.shapes.num_train = 512
  config.data.shapes.num_test = 256
  config.monitor.every_epochs = 0
  config.log.tensorboard = config.log.views = False
  trained = trainer.train(config, str(tmp_path), ONE)
  settings = eval_config.evaluation("knn")
  settings.baselines = ("random_init",)
  found = evaluate.run(settings, str(tmp_path), ONE)
  after, before = (r["top1"] for r in found["results"])
  assert after > before + 0.06
  settings.baselines, settings.data.held_out = (), True
  (held_out,) = evaluate.run(settings, str(tmp_path), ONE)["results"]
  # k and tau are the same
  assert held_out["top1"] == pytest.approx(trained.metrics["knn_top1"], abs=1e-6)
