"""Features as a file: those of an evaluation, whatever kills the command, in any form."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from tiny_config import tiny

from contrastive_jax import build, cli, errors, parallel
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.data import jpeg
from contrastive_jax.embedding import embed, kept, pieces, table
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.evaluation import evaluate, features
from contrastive_jax.evaluation import images as eval_images
from contrastive_jax.step.state import TrainState
from contrastive_jax.workdir import checkpoint, loading

ONE = jax.devices()[:1]
NEEDS_ARROW = pytest.mark.skipif(
  importlib.util.find_spec("pyarrow") is None, reason="needs pyarrow: the extra parquet"
)


def saved(path, method, **changes):
  """Writes a run whose checkpoint of step 5 holds fresh weights, and others as its target."""
  config = tiny(method, **changes)
  config.method.head_width = 16
  net = build.net(config)
  make = jax.jit(lambda key: net.init(key, np.zeros((1, 16, 16, 3), np.float32), train=False))
  variables, others = make(jax.random.key(1)), make(jax.random.key(2))
  averaged = {k: v for k, v in others["params"].items() if k != "p"}
  state = TrainState(
    step=jax.numpy.asarray(5),
    params=variables["params"],
    stats=variables["batch_stats"],
    opt_state={"count": jax.numpy.zeros(())},
    memory={"target": averaged} if method == "byol" else {},
    probe={},
  )
  checkpoints = checkpoint.Checkpoints(str(path))
  checkpoints.save(5, state)
  checkpoints.close()
  workdir_lib.stamp(str(path), config)
  return str(path)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  return saved(tmp_path_factory.mktemp("byol"), "byol")


def asked(**changes):
  config = eval_config.evaluation("knn")
  config.layers, config.batch_size = ("h", "z"), 12
  for key, value in changes.items():
    config[key] = value
  return config


@pytest.fixture(scope="module")
def wanted(workdir):
  """What an evaluation has of the 64 training images."""
  config, _ = eval_config.resolve(asked())
  loaded = evaluate.load(workdir, config)
  images = eval_images.load(config, loaded.config)
  (encoder,) = evaluate.encoders(config, loaded, images.view)
  return evaluate.extract(encoder, images.train, images, parallel.make_mesh(ONE))


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
  monkeypatch.setattr(pieces, "_ROWS", 24)  # 64 images in batches of 12: three pieces


def assert_same(found, wanted):
  for layer in ("h", "z"):
    np.testing.assert_array_equal(found[layer], wanted.layers[layer])
  np.testing.assert_array_equal(found["label"], wanted.label)
  np.testing.assert_array_equal(found["index"], wanted.index)


def test_a_file_has_the_features_of_an_evaluation_bit_for_bit(workdir, wanted, tmp_path):
  path = embed.run(asked(), workdir, str(tmp_path / "f.npz"), devices=ONE)
  found = np.load(path)
  assert_same(found, wanted)
  assert list(found["name"]) == [str(i) for i in range(64)] and len(found["label_names"]) == 10
  about = json.loads(str(found["about"]))
  assert about["checkpoint_step"] == 5 and about["network"] == "online"
  assert os.listdir(tmp_path) == ["f.npz"], "the parts are gone"


@pytest.mark.parametrize("suffix", ["safetensors", pytest.param("parquet", marks=NEEDS_ARROW)])
def test_other_forms_hold_the_same(workdir, wanted, tmp_path, suffix):
  path = embed.run(asked(), workdir, str(tmp_path / f"f.{suffix}"), devices=ONE)
  if suffix == "parquet":
    from pyarrow import parquet

    read = parquet.read_table(path)
    found = {k: np.asarray(read[k].to_pylist()) for k in ("h", "z", "label", "index")}
    found = {k: v.astype(np.float32) if k in "hz" else v for k, v in found.items()}
    names = read["name"].to_pylist()
    assert set(read["label_name"].to_pylist()) <= set(
      json.loads(read.schema.metadata[b"label_names"])
    )
  else:
    with safe_open(path, "numpy") as file:
      found = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
      assert len(json.loads(file.metadata()["label_names"])) == 10
    ends = [0, *found["name.ends"]]
    text = found["name.utf8"].tobytes()
    names = [text[a:b].decode() for a, b in zip(ends[:-1], ends[1:], strict=True)]
  assert_same(found, wanted)
  assert names == [str(i) for i in range(64)]


class Killed(BaseException):
  pass


@pytest.mark.parametrize("half_written", [False, True])
def test_what_was_kept_is_not_computed_again(workdir, wanted, tmp_path, monkeypatch, half_written):
  add, collect, calls = kept.Kept.add, features.collect, []

  def killed_at_the_second(self, rows, images, replaced):
    if images > 24:
      if half_written:  # rows, and no note of them
        for file in self._files.values():
          file.write(b"half a row")
          file.flush()
      raise Killed
    add(self, rows, images, replaced)

  def counted(encoder, variables, batches, **options):
    calls.append(1)
    return collect(encoder, variables, batches, **options)

  out = str(tmp_path / "f.npz")
  monkeypatch.setattr(features, "collect", counted)
  monkeypatch.setattr(kept.Kept, "add", killed_at_the_second)
  with pytest.raises(Killed):
    embed.run(asked(), workdir, out, devices=ONE)
  assert os.listdir(tmp_path) == ["f.npz.parts"] and len(calls) == 2
  monkeypatch.setattr(kept.Kept, "add", add)
  embed.run(asked(), workdir, out, devices=ONE)
  assert len(calls) == 4, "the second and the third piece"
  assert_same(np.load(out), wanted)


def test_rows_of_other_versions_are_told_and_noted(workdir, tmp_path, monkeypatch, caplog):
  add, out = kept.Kept.add, str(tmp_path / "f.npz")

  def killed_after_the_first(self, rows, images, replaced):
    add(self, rows, images, replaced)
    raise Killed

  with monkeypatch.context() as patch, pytest.raises(Killed):
    patch.setattr(kept.Kept, "add", killed_after_the_first)
    embed.run(asked(), workdir, out, devices=ONE)
  monkeypatch.setattr(jpeg, "decoder", lambda: "another 1.0")
  embed.run(asked(), workdir, out, devices=ONE)
  (told,) = [r.getMessage() for r in caplog.records if "other than" in r.getMessage()]
  assert told.startswith("warning: other than for the first 24 images: jpeg_decoder ")
  assert told.endswith(" -> another 1.0; the file's history has both")
  history = json.loads(str(np.load(out)["about"]))["history"]
  assert [entry["images"] for entry in history] == [0, 24]
  assert history[1]["jpeg_decoder"] == "another 1.0" != history[0]["jpeg_decoder"]


def test_a_kill_while_the_file_is_made_leaves_none(workdir, wanted, tmp_path, monkeypatch):
  names = table.Table.names

  def killed(self):
    raise Killed

  out = str(tmp_path / "f.npz")
  monkeypatch.setattr(table.Table, "names", killed)
  with pytest.raises(Killed):
    embed.run(asked(), workdir, out, devices=ONE)
  assert os.listdir(tmp_path) == ["f.npz.parts"]
  monkeypatch.setattr(table.Table, "names", names)
  monkeypatch.setattr(features, "collect", lambda *_, **__: pytest.fail("computed again"))
  embed.run(asked(), workdir, out, devices=ONE)
  assert_same(np.load(out), wanted)


def test_parts_of_another_question_are_refused(workdir, tmp_path, monkeypatch):
  out = str(tmp_path / "f.npz")

  def killed(self, rows, images, replaced):
    add(self, rows, images, replaced)
    raise Killed

  add = kept.Kept.add
  monkeypatch.setattr(kept.Kept, "add", killed)
  with pytest.raises(Killed):
    embed.run(asked(), workdir, out, devices=ONE)
  with pytest.raises(errors.UserError, match="begun with layers .'h', 'z'., and .'h'. is asked"):
    embed.run(asked(layers=("h",)), workdir, out, devices=ONE)


def test_the_refusal_names_what_differs_and_no_more():
  names = [f"class {number}" for number in range(1000)]
  before = {"images": {"class names": names, "content": "a" * 64}}
  asked_for = {"images": {"class names": names, "content": "b" * 64}}
  found = kept._first_difference(before, asked_for)
  assert found == ("images: content", "a" * 64, "b" * 64)
  before["images"]["class names"] = names[:-1]
  found = kept._first_difference(before, asked_for)
  assert found == ("images: class names", "999 of them", "1,000")
  assert kept._first_difference(before, before) is None


def test_a_folder_gives_names_and_what_cannot_be_read_is_left_out(workdir, tmp_path):
  for number, name in enumerate(("b/2.png", "a/1.png", "a/broken.png")):
    path = tmp_path / "images" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 16), (40 * number, 9, 9)).save(path)
  path.write_bytes(b"no image")
  out = tmp_path / "f.npz"
  embed.run(asked(), workdir, str(out), images=str(tmp_path / "images"), devices=ONE)
  found = np.load(out)
  assert list(found["name"]) == ["a/1.png", "b/2.png"] and list(found["index"]) == [0, 2]
  assert list(found["label"]) == [0, 1] and list(found["label_names"]) == ["a", "b"]
  assert json.loads(str(found["about"]))["unreadable"] == 1


def test_images_that_can_none_be_read_leave_nothing_beside_the_file(workdir, tmp_path):
  (tmp_path / "images").mkdir()
  for number in range(3):
    (tmp_path / "images" / f"{number}.png").write_bytes(b"no image")
  out = tmp_path / "out" / "f.npz"
  out.parent.mkdir()
  with pytest.raises(errors.UserError, match="0.png"):
    embed.run(asked(), workdir, str(out), images=str(tmp_path / "images"), devices=ONE)
  assert os.listdir(out.parent) == []


def test_rows_that_have_no_room_leave_no_folder(tmp_path):
  rows = kept.Kept(tmp_path / "f.parts", {}, {"h": 10**6}, 10**9, {})
  with pytest.raises(errors.SaveFailed, match="are free; make room"), rows:
    pass
  assert os.listdir(tmp_path) == []


def test_the_target_is_its_own_weights_with_the_statistics_of_the_online_network(workdir, tmp_path):
  path = embed.run(asked(network="target"), workdir, str(tmp_path / "f.npz"), devices=ONE)
  online = loading.load_run(workdir)
  target = loading.load_run(workdir, network="target")
  assert set(online.params) - set(target.params) == {"p"}, "BYOL averages no predictor"
  config, _ = eval_config.resolve(asked(network="target"))
  found = pieces.opened(config, workdir, "config", "train", ONE)
  wanted = features.extract(
    found.encoder.net,
    target.params,
    online.stats,
    evaluate_batches(found),
    view=found.split.view,
    layers=("h", "z"),
    mesh=found.mesh,
  )
  assert_same(np.load(path), wanted)
  other = loading.load_run(workdir).params["backbone"]
  assert not jax.tree.all(
    jax.tree.map(lambda a, b: np.array_equal(a, b), other, target.params["backbone"])
  )


def evaluate_batches(found):
  from contrastive_jax.data import pipeline

  return pipeline.eval_batches(found.split.source, batch_size=12, **found.split.pipeline_options)


def test_a_method_without_a_target_is_told(tmp_path):
  simclr = tiny()
  net = build.net(simclr)
  variables = net.init(jax.random.key(1), np.zeros((1, 16, 16, 3), np.float32), train=False)
  state = TrainState(
    jax.numpy.asarray(1), variables["params"], variables["batch_stats"], {}, {}, {}
  )
  checkpoints = checkpoint.Checkpoints(str(tmp_path))
  checkpoints.save(1, state)
  checkpoints.close()
  workdir_lib.stamp(str(tmp_path), simclr)
  with pytest.raises(errors.UserError, match='network "target": .* use "online"'):
    evaluate.load(str(tmp_path), asked(network="target"))


@pytest.mark.parametrize(
  ("words", "line"),
  [
    (("--out=f.csv",), "ends in '.csv'; use .npz, .safetensors, .parquet"),
    (("--out=f.npz", "--split=dev"), "--split=dev is unknown; use train or test"),
    ((), "--out is missing; give a file, e.g. --out=features.npz"),
    (("--out=f.npz", "--images="), "--images is empty; give a folder"),
    (("--out=f.npz", "--layers=hh"), 'layer "hh" is unknown to this network'),
    (("--out=f.npz", "--config.network=ema"), 'network "ema" is unknown; use online or target'),
  ],
)
def test_a_mistake_is_one_line(workdir, tmp_path, monkeypatch, capfd, words, line):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(SystemExit) as left:
    cli.main(["embed", f"--workdir={workdir}", "--nokeep_compiled", *words])
  said = capfd.readouterr().err.strip().splitlines()
  assert left.value.code == errors.EXIT_USER_ERROR and line in said[-1], said
  assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_command_that_is_killed_goes_on(workdir, wanted, tmp_path):
  out = tmp_path / "f.npz"
  words = (
    "from contrastive_jax.embedding import pieces; pieces._ROWS = 24\n"
    "from contrastive_jax.embedding import kept; import time\n"
    "add = kept.Kept.add\n"
    "kept.Kept.add = lambda self, *rest: (add(self, *rest), time.sleep(1000))\n"
    "from contrastive_jax import cli\n"
    f"cli.main(['embed', '--workdir={workdir}', '--layers=h,z', '--config.batch_size=12',\n"
    f"  '--out={out}'])\n"
  )
  with subprocess.Popen([sys.executable, "-c", words]) as process:
    note = tmp_path / "f.npz.parts" / "progress.json"
    while not note.exists() and process.poll() is None:
      time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
  assert process.returncode == -signal.SIGKILL and not out.exists()
  assert json.loads(note.read_text())["rows"] == 24
  embed.run(asked(), workdir, str(out), devices=ONE)
  assert_same(np.load(out), wanted)


def test_images_that_are_no_folder_are_named_by_their_flag(workdir, tmp_path):
  file = tmp_path / "list.csv"
  file.write_text("path,label\n")
  for given in (str(file), str(tmp_path / "none")):
    with pytest.raises(errors.UserError, match="--images=.*no such folder; give one, or, for a ta"):
      embed.run(asked(), workdir, str(tmp_path / "f.npz"), images=given, devices=ONE)
  assert not list(tmp_path.glob("f.npz*"))
