"""A run's backbone for other programs: their names, their features, and back again bit by bit."""

import contextlib
import importlib.util
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import foreign
import jax
import numpy as np
import pytest
import tiny_config
import whole_runs
from absl import flags
from ml_collections import config_flags

from contrastive_jax import build, catalogue, cli, errors, parallel, places
from contrastive_jax import config as config_lib
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.evaluation import evaluate
from contrastive_jax.step import state as state_lib
from contrastive_jax.training import starting, trainer
from contrastive_jax.weights import (
  card,
  export,
  folder,
  forms,
  matching,
  of_run,
  safetensors_file,
  start,
  tree,
)
from contrastive_jax.workdir import loading


def needs(*names):
  missing = [name for name in names if importlib.util.find_spec(name) is None]
  return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not installed")


def backbone(name, size_px=32, **model):
  """A network with weights and statistics that are nowhere alike, and its config."""
  made = config_lib.pretrain("simclr", name)
  made.image_size_px, made.augment.normalize = size_px, "imagenet"
  if "padding" in made.model:
    made.model.padding = "torch"
  for key, value in model.items():
    made.model[key] = value
  shapes = build.backbone_shapes(made)
  arrays = foreign.drawn(shapes)
  for key in arrays:
    if key.endswith(".scale"):
      arrays[key] = np.abs(arrays[key]) + np.float32(0.5)
  return forms.Backbone(arrays, of_run.model_of(made), of_run.preparation_of(made)), made


def contents(net, made, form, **options):
  about = {"config": made, "step": 7, "format": form, "command": "a command", "images": {}}
  about["network"] = "online"
  return forms.contents(net, form, about, [], **options)


def images(size_px, count=3):
  return np.random.default_rng(0).normal(size=(count, size_px, size_px, 3)).astype(np.float32)


CASES = {
  "resnet18": ({}, foreign.resnet("resnet18", classifier="")),
  "resnet50": ({"stem": "imagenet"}, foreign.resnet("resnet50", classifier="")),
  "vit_tiny": ({"patch_px": 4}, foreign.vit(patch_px=4, image_px=32, classifier="")),
  "deit_small": (
    {"patch_px": 8, "positions": "learned"},
    foreign.vit("deit_small", 8, 32, classifier=""),
  ),
}


@pytest.mark.parametrize(
  "name",
  [
    pytest.param(n, marks=[pytest.mark.slow] if n in ("resnet50", "deit_small") else [])
    for n in CASES
  ],
)
def test_names_and_shapes_are_theirs_and_the_way_back_is_bit_for_bit(name, tmp_path):
  options, wanted = CASES[name]
  if name == "resnet18":
    wanted = wanted | {"conv1.weight": (64, 3, 3, 3)}
  net, made = backbone(name, **options)
  files = contents(net, made, "safetensors")
  (tmp_path / "model.safetensors").write_bytes(files["model.safetensors"])
  arrays, _ = safetensors_file.parsed(files["model.safetensors"], "it")
  assert {key: array.shape for key, array in arrays.items()} == wanted
  back = start.read(str(tmp_path / "model.safetensors"))
  assert back.model == net.model
  assert back.preparation == net.preparation
  assert back.arrays.keys() == net.arrays.keys()
  for key, array in net.arrays.items():
    np.testing.assert_array_equal(back.arrays[key], array, err_msg=key)


NO_TWIN = {
  "model.padding same": {"padding": "same"},
  "model.padding simclr": {"padding": "simclr"},
  "model.sk_ratio 0.0625": {"sk_ratio": 0.0625},
  "model.width 2": {"width": 2.0},
  "model.stem_relu False": {"stem_relu": False},
  "model.bn_eps 0.001": {"bn_eps": 1e-3},
  "model.name resnet8": {},
}


@pytest.mark.parametrize("words", NO_TWIN)
def test_a_network_without_a_twin_is_refused_with_the_reason(words):
  made = config_lib.pretrain("simclr", "resnet8" if words.endswith("resnet8") else "resnet50")
  made.model.padding = "torch"
  for key, value in NO_TWIN[words].items():
    made.model[key] = value
  with pytest.raises(errors.UserError) as refused:
    export.check_network(made, "safetensors")
  assert words in str(refused.value) and "--format=own" in str(refused.value)
  for form in ("own", "onnx", "stablehlo"):
    export.check_network(made, form)


def test_preprocessing_is_told_in_our_words_and_in_timms():
  net, made = backbone("resnet50", 224)
  files = contents(net, made, "safetensors")
  ours, timms = (json.loads(files[name]) for name in ("preprocessing.json", "config.json"))
  assert (ours["size_px"], ours["crop"], ours["crop_share"]) == (224, "center", 0.875)
  assert ours["mean"] == [0.485, 0.456, 0.406] == timms["pretrained_cfg"]["mean"]
  assert timms["architecture"] == "resnet50" and timms["num_features"] == 2048
  assert timms["pretrained_cfg"]["input_size"] == [3, 224, 224]
  small = contents(*backbone("resnet18"), "safetensors")
  assert "config.json" not in small, "timm has no name for a 3x3 stem"
  assert "net.maxpool = torch.nn.Identity()" in small["README.md"].decode()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """A run of a few steps that exports its own form at its end, and its scores."""
  workdir = str(tmp_path_factory.mktemp("run"))
  made = tiny_config.with_monitor()
  made.checkpoint.export = ("own",)
  trainer.train(made, workdir, whole_runs.one_device())
  return workdir, evaluate.run(by_knn(), workdir, whole_runs.one_device())


def by_knn():
  asked = tiny_config.evaluation()
  asked.protocols = ("knn",)
  return asked


def exported(workdir):
  return os.path.join(workdir, "export", "own")


def test_a_run_leaves_its_backbone_at_the_end(trained):
  loaded = loading.load_run(trained[0])
  wanted = tree.flat(loaded.params["backbone"], loaded.stats["backbone"])
  found = start.read(os.path.join(exported(trained[0]), "model.safetensors"))
  assert found.layout == "own" and found.arrays.keys() == wanted.keys()
  for name, array in wanted.items():
    np.testing.assert_array_equal(found.arrays[name], array)


def test_weights_of_a_file_score_as_the_run_that_they_are_of(trained, tmp_path):
  workdir, wanted = trained
  asked, of_run = by_knn(), by_knn()
  asked.init.path = os.path.join(exported(workdir), "model.safetensors")
  asked.data.source = "shapes"
  for key in ("num_train", "num_test", "size_px"):
    asked.data.shapes[key] = loading.load_run(workdir).config.data.shapes[key]
  of_run.init.path = workdir
  for run, config in ((None, asked), (workdir, of_run)):
    found = evaluate.run(config, run, whole_runs.one_device(), str(tmp_path / str(bool(run))))
    for key in ("num_train", "num_test", "top1", "per_class"):
      assert found["results"][0][key] == wanted["results"][0][key]


def test_without_a_run_images_must_be_named(trained, tmp_path):
  asked = by_knn()
  asked.init.path = os.path.join(exported(trained[0]), "model.safetensors")
  with pytest.raises(errors.UserError, match="data.source is empty, and without --workdir no run"):
    evaluate.run(asked, None, whole_runs.one_device(), str(tmp_path))


def test_another_method_starts_from_the_weights_of_a_run(trained, tmp_path):
  made = tiny_config.tiny("byol", init__path=trained[0])
  weights = matching.check(start.read(trained[0]), made)
  run = build.run(made, 64, 10, 1)
  mesh = parallel.make_mesh(whole_runs.one_device())
  state = state_lib.create(run.init, seed=0, mesh=mesh, given=start.given(weights))
  for params in (state.params, state.memory["target"]):
    found = tree.flat(params["backbone"], {})
    for name, array in found.items():
      np.testing.assert_array_equal(array, weights.arrays[name])
  stats = tree.flat({}, state.stats["backbone"])
  assert all(np.array_equal(array, weights.arrays[name]) for name, array in stats.items())


def test_a_run_notes_what_it_began_with_and_goes_on_without_it(trained, tmp_path, capfd):
  os.rename(export.run(trained[0], "own", out=str(tmp_path / "weights")), tmp_path / "moved")
  file = tmp_path / "moved" / "model.safetensors"
  made = tiny_config.tiny(epochs=1, init__path=str(file))
  workdir = str(tmp_path / "run")
  trainer.train(made, workdir, whole_runs.one_device())
  said = json.loads((tmp_path / "run" / "init.json").read_text())
  assert (said["layout"], said["source"], said["not_taken"]) == ("own", str(file), {})
  assert f"weights of {file} (layout own): resnet8" in capfd.readouterr().err
  file.unlink()
  made.epochs = 2
  made.allow_config_change = True
  trainer.train(made, workdir, whole_runs.one_device())


def test_the_card_tells_of_the_run_and_of_its_scores(trained, tmp_path):
  export.run(trained[0], "own", out=str(tmp_path / "out"))
  said = (tmp_path / "out" / "README.md").read_text()
  top1 = next(r["top1"] for r in trained[1]["results"] if r["protocol"] == "knn")
  for words in (
    "library_name: contrastive_jax",
    "| method | simclr |",
    "| epochs | 1 |",
    f"| knn | checkpoint, h | {100 * top1:.2f} % |",
    "--config.model.width=0.25",
    f"contrastive_jax export --workdir={os.path.basename(trained[0])} --format=own",
    "While training, at step 2: kNN ",
  ):
    assert words in said
  assert json.loads((tmp_path / "out" / "training_config.json").read_text())["epochs"] == 1
  assert trained[0] not in said, "no place of this machine"


def test_the_target_of_a_run_is_exported_with_its_own_scores(tmp_path):
  workdir = str(tmp_path / "run")
  trainer.train(tiny_config.tiny("byol", epochs=1), workdir, whole_runs.one_device())
  for network in ("online", "target"):
    asked = eval_config.evaluation("knn", name=network)
    asked.network, asked.knn.k = network, 5
    evaluate.run(asked, workdir, whole_runs.one_device())
  cli.main(["export", f"--workdir={workdir}", "--format=own", "--network=target"])
  place = tmp_path / "run" / "export" / "own_target"
  loaded = loading.load_run(workdir, network="target")
  wanted = tree.flat(loaded.params["backbone"], loaded.stats["backbone"])
  found = start.read(str(place / "model.safetensors")).arrays
  assert wanted.keys() == found.keys()
  assert all(np.array_equal(found[name], wanted[name]) for name in wanted)
  said = (place / "README.md").read_text()
  assert "those of the target, a moving average" in said and "--network=target" in said
  assert "| knn | target, h |" in said and "| knn | checkpoint, h |" not in said
  export.run(workdir, "own")
  said = (tmp_path / "run" / "export" / "own" / "README.md").read_text()
  assert "| knn | checkpoint, h |" in said and "target" not in said.partition("## Scores")[2]


def test_no_place_of_this_machine_is_in_an_export():
  net, made = backbone("resnet18", 64)
  keys = [f"data.{name}.path" for name in catalogue.sources() if "path" in made.data.get(name, {})]
  keys += ["data.parquet.names", "data.webdataset.index", "data.folder.listings"]
  keys += ["data.table.root", "data.folder.labels", "init.path"]
  for key in keys:
    section, _, last = key.rpartition(".")
    part = made
    for name in section.split("."):
      part = part[name]
    part[last] = f"/disk/mine/{key}"
  assert len(keys) > 12
  for name, content in contents(net, made, "own").items():
    assert b"/disk/mine" not in content, name


def test_the_options_of_the_card_can_be_pasted():
  net, made = backbone("resnet18", 64)
  made.steps, made.checkpoint.export = 1500, ("safetensors,onnx",)
  made.optimizer.milestones, made.data.shapes.shapes = (5.0, 7.5), ("cup", "key")
  card = contents(net, made, "own")["README.md"].decode()
  assert "| steps | 1,500 |" in card and "| epochs |" not in card
  words = ["it", *shlex.split(card.split("```text\n")[1].split("```")[0])]
  values = flags.FlagValues()
  plain = config_lib.pretrain("simclr", "resnet18", made.augment.recipe)
  config_flags.DEFINE_config_dict("config", plain, flag_values=values, sys_argv=words)
  values(words)
  assert config_lib.flatten(values["config"].value) == config_lib.flatten(made)


def test_the_card_tells_of_activations_that_were_rounded():
  net, made = backbone("resnet18", 64)
  assert "bfloat16" not in contents(net, made, "own")["README.md"].decode()
  made.model.dtype = "bfloat16"
  assert "activations in bfloat16, in training" in contents(net, made, "own")["README.md"].decode()


def test_scores_of_other_weights_are_not_the_runs(trained, tmp_path):
  (tmp_path / "eval").mkdir()
  for name, path in (("own", ""), ("other", "resnet50.safetensors")):
    found = json.loads(json.dumps(trained[1]))
    found["config"]["init"]["path"] = path
    found["results"][0]["layer"] = name
    (tmp_path / "eval" / f"{name}.json").write_text(json.dumps(found))
  assert "other" not in [record["layer"] for record in card.results_of(tmp_path)]
  assert "own" in [record["layer"] for record in card.results_of(tmp_path)]


def test_hugging_face_reads_the_card(tmp_path):
  hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
  folder.write(str(tmp_path / "out"), contents(*backbone("resnet18", 64), "safetensors"))
  found = hub.ModelCard.load(tmp_path / "out" / "README.md")
  assert found.data.library_name == "timm" and "simclr" in found.data.tags


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("count", range(4))
def test_an_export_that_ends_half_way_leaves_the_folder_whole(count, killed, tmp_path, monkeypatch):
  out = tmp_path / "out"
  folder.write(str(out), {"a": b"old", "preprocessing.json": b"{}"})
  real, calls = os.rename, []

  def rename(*names):
    calls.append(names)
    if len(calls) == count:
      raise KeyboardInterrupt
    real(*names)

  def replace(*names):
    if count == 3 and str(names[1]).endswith("b"):
      raise KeyboardInterrupt
    os.link(names[0], names[1])
    os.unlink(names[0])

  with monkeypatch.context() as patch:
    patch.setattr(os, "rename", rename)
    patch.setattr(os, "replace", replace)
    if killed:  # who is killed tidies nothing up
      patch.setattr(shutil, "rmtree", lambda *_, **__: None)
    with contextlib.suppress(KeyboardInterrupt):
      folder.write(str(out), {"a": b"new", "b": b"new", "preprocessing.json": b"{}"})
  assert out.exists() == (count != 2), "it is away between two renamings alone"
  assert (len(os.listdir(tmp_path)) > out.exists()) == (killed or count == 2)
  if out.exists():
    found = {p.name: p.read_bytes() for p in out.iterdir()}
    assert found["a"] == (b"new" if "b" in found else b"old") and "preprocessing.json" in found
  of_others = (".out.x.0123456789abcdef0123456789abcdef.tmp", ".out.tmp", ".out.mine.tmp")
  for name in of_others:
    (tmp_path / name).mkdir()
  folder.write(str(out), {"a": b"last", "preprocessing.json": b"{}"})
  assert {p.name for p in tmp_path.iterdir()} == {"out", *of_others}, "what was left is removed"


@pytest.mark.slow
def test_a_command_that_is_killed_while_it_writes_leaves_the_earlier_export(trained, tmp_path):
  out = tmp_path / "out"
  export.run(trained[0], "own", out=str(out))
  before = {p.name: p.read_bytes() for p in out.iterdir()}
  words = (
    "from contrastive_jax import cli, places; import time\n"
    "write = places.write\n"
    "places.write = lambda *given: (write(*given), time.sleep(1000))\n"
    f"cli.main(['export', '--workdir={trained[0]}', '--format=own', '--out={out}'])\n"
  )
  with subprocess.Popen([sys.executable, "-c", words]) as process:
    while not any(tmp_path.glob(".out.*.tmp/*")) and process.poll() is None:
      time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
  assert process.returncode == -signal.SIGKILL
  assert {p.name: p.read_bytes() for p in out.iterdir()} == before
  assert len(os.listdir(tmp_path)) == 2
  export.run(trained[0], "own", out=str(out))
  assert os.listdir(tmp_path) == ["out"]


def test_a_place_that_cannot_be_written_is_told_before_the_work(
  trained, tmp_path, monkeypatch, capfd
):
  def refused(folder, *_):
    raise errors.UserError(f"the export cannot be written to {folder} (read-only)")

  worked = []
  monkeypatch.setattr(forms, "contents", lambda *_: worked.append(1))
  monkeypatch.setattr(places, "ready", refused)
  with pytest.raises(SystemExit) as left:
    cli.main(["export", f"--workdir={trained[0]}", "--format=own", f"--out={tmp_path / 'a/out'}"])
  assert left.value.code == 2 and not worked
  assert f"error: the export cannot be written to {tmp_path / 'a'} (read" in capfd.readouterr().err


@pytest.mark.parametrize("end", [KeyboardInterrupt, errors.UserError])
def test_folders_that_were_made_for_an_export_that_failed_are_removed(end, tmp_path):
  with pytest.raises(end), folder.tried(str(tmp_path / "a/b/out")):
    assert (tmp_path / "a/b").is_dir()
    raise end
  assert not os.listdir(tmp_path)


@pytest.mark.parametrize("name", ["NOTES.md", ".git", "resnet50.safetensors"])
@pytest.mark.parametrize("beside", [(), ("preprocessing.json", "model.safetensors")])
def test_a_folder_of_other_files_is_not_replaced(beside, name, trained, tmp_path):
  for there in (name, *beside):
    (tmp_path / there).write_text("mine")
  with pytest.raises(
    errors.UserError, match=rf"holds other files \({name}\), which an export would"
  ):
    export.run(trained[0], "own", out=str(tmp_path))
  assert sorted(os.listdir(tmp_path)) == sorted([name, *beside])


def test_a_folder_of_hugging_face_is_not_replaced(tmp_path):
  for there in ("README.md", "config.json", "model.safetensors"):
    (tmp_path / there).write_text("theirs")
  with pytest.raises(errors.UserError, match="README.md, config.json, model.safetensors"):
    folder.check(str(tmp_path))


@pytest.mark.parametrize("form", ["safetensors", "own"])
def test_an_export_may_replace_one_of_another_form(form, tmp_path):
  out = str(tmp_path / "out")
  folder.write(out, contents(*backbone("resnet18", 64), form))
  folder.check(out)


@pytest.mark.parametrize(
  ("name", "options"),
  [
    ("resnet18", {"stem": "imagenet"}),
    ("resnet18", {}),
    ("resnet18", {"stem": "cifar_pad2"}),
    ("vit_tiny", {"patch_px": 8}),
  ],
)
@needs("torch", "torchvision", "timm", "safetensors")
@pytest.mark.slow
def test_features_are_those_of_torchvision_and_timm(name, options, tmp_path):
  import safetensors.torch
  import timm
  import torch
  import torchvision

  net, made = backbone(name, **options)
  folder.write(str(tmp_path / "out"), contents(net, made, "safetensors"))
  file, x = tmp_path / "out" / "model.safetensors", images(32)
  wanted = np.asarray(jax.jit(net.forward)(x))
  twins = []
  if (tmp_path / "out" / "config.json").exists():
    twins.append(timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True))
  if name.startswith("resnet"):
    space = {}
    code = (tmp_path / "out" / "README.md").read_text().split("```python\n")[-1].split("```")[0]
    assert "strict=True" in code
    exec(code.replace('"model.safetensors"', repr(str(file))), space)
    twins.append(space["net"])
  assert twins and torchvision and safetensors.torch
  for twin in twins:
    with torch.no_grad():
      found = twin.eval()(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy()
    assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()


GRAPHS = {
  "resnet8": {"padding": "same"},
  "resnet18": {"padding": "simclr", "stem": "imagenet", "width": 0.25},
  "resnet50": {"sk_ratio": 0.0625, "stem": "imagenet", "padding": "simclr", "width": 0.25},
  "resnet20": {"stem_relu": False, "stem": "cifar_pad2"},
  "vit_tiny": {"patch_px": 8},
}


@pytest.mark.parametrize("name", GRAPHS)
@needs("onnx", "onnxruntime")
@pytest.mark.slow
def test_onnx_runtime_has_the_same_features_for_any_batch(name):
  import onnxruntime

  net, made = backbone(name, **GRAPHS[name])
  content = contents(net, made, "onnx")["model.onnx"]  # which compares them itself
  session = onnxruntime.InferenceSession(content)
  for count in (1, 5):
    x = images(32, count)
    (found,) = session.run(None, {"images": x.transpose(0, 3, 1, 2).copy()})
    wanted = np.asarray(jax.jit(net.forward)(x))
    assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()


@pytest.mark.parametrize("form", ["onnx", "stablehlo"])
@pytest.mark.slow
def test_bytes_are_standardised_inside_if_that_is_asked_for(form):
  net, made = backbone("resnet8", 16)
  x = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
  mean, std = (np.asarray(net.preparation[k], np.float32) for k in ("mean", "std"))
  wanted = np.asarray(net.forward((x / np.float32(255) - mean) / std))
  if form == "onnx":
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    files = contents(net, made, form, prepare="in")
    content = files["model.onnx"]
    (found,) = runtime.InferenceSession(content).run(None, {"images": x})
  else:
    pytest.importorskip("flatbuffers", reason="flatbuffers is not installed")
    files = contents(net, made, form, prepare="in")
    found = np.asarray(jax.export.deserialize(bytearray(files["model.stablehlo"])).call(x))
  assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()
  assert set(files) <= set(folder.NAMES), "another export may replace them"


def test_what_an_extra_would_bring_is_named_and_before_a_run_begins(monkeypatch, tmp_path):
  net, made = backbone("resnet8", 16)
  monkeypatch.setattr(importlib, "import_module", lambda name: __import__("no_such_module"))
  for form in ("onnx", "stablehlo"):
    with pytest.raises(errors.UserError, match=rf"pip install 'contrastive_jax\[{form}\]'"):
      contents(net, made, form)
    made.checkpoint.export = (form,)
    with pytest.raises(errors.UserError, match=rf"pip install 'contrastive_jax\[{form}\]'"):
      starting.check_export(made, str(tmp_path))
