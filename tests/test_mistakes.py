"""What users get wrong, and the one line that each mistake is answered with."""

import os
import subprocess
import sys

import commands
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import REPOSITORY
from PIL import Image

from contrastive_jax import cli, config
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.cli import parse
from contrastive_jax.step.state import TrainState
from contrastive_jax.workdir import checkpoint


@pytest.fixture
def here(tmp_path, monkeypatch):
  """The repository as working directory, and files to go wrong with."""
  monkeypatch.chdir(REPOSITORY)
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
  np.savez(tmp_path / "good.npz", images=images, labels=np.zeros(20, np.int64))
  np.savez(tmp_path / "float.npz", images=images / 255, labels=np.zeros(20, np.int64))
  np.savez(tmp_path / "unnamed.npz", pixels=images)
  (tmp_path / "empty").mkdir()
  folder = tmp_path / "folder"
  for i in range(3):
    (folder / "cat").mkdir(parents=True, exist_ok=True)
    Image.fromarray(images[i]).save(folder / "cat" / f"{i}.png")
  for i in range(8):
    name = tmp_path / "classes" / ("cat", "dog")[i % 2] / f"{i}.png"
    name.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(images[i]).save(name)
  (tmp_path / "file").write_text("not a directory")
  (tmp_path / "broken.py").write_text("def get_config(:\n")
  (tmp_path / "nothing.py").write_text("def get_config():\n  pass\n")
  (tmp_path / "misspelt.py").write_text(
    "from contrastive_jax import config\n\n\ndef get_config():\n"
    "  c = config.pretrain()\n  c.bach_size = 3\n  return c\n"
  )
  (tmp_path / "without.py").write_text("x = 1\n")
  (tmp_path / "norun").mkdir()
  return tmp_path


def train(*arguments):
  return ("train", arguments)


def evaluation(*arguments):
  return ("eval", arguments)


def npz(name):
  return ("--config.data.source=npz", f"--config.data.npz.path={{here}}/{name}")


MISTAKES = {
  "no config": (
    train("--workdir={here}/w"),
    "--config is missing; e.g. contrastive_jax train --config=shapes/quickstart",
  ),
  "no workdir": (train(commands.QUICK), "--workdir is missing; give a directory"),
  "workdir in a bucket": (
    train(commands.QUICK, "--workdir=gs://bucket/run"),
    "--workdir gs://bucket/run is no path of a file system; give a local or mounted directory",
  ),
  "evaluation in a bucket": (
    evaluation("--workdir=s3://bucket/run"),
    "--workdir s3://bucket/run is no path of a file system",
  ),
  "images in a bucket": (
    train(
      commands.QUICK,
      "--workdir={here}/w",
      "--config.data.source=folder",
      "--config.data.folder.path=gs://bucket/images",
    ),
    "data.folder.path gs://bucket/images is no path of a file system",
  ),
  "misspelt config file": (
    train("--config=configs/quickstrat.py", "--workdir={here}/w"),
    "config configs/quickstrat.py is neither a name nor a file; did you mean shapes/quickstart?",
  ),
  "config file with a syntax error": (
    train("--config={here}/broken.py", "--workdir={here}/w"),
    ("broken.py fails: ", "; correct it"),
  ),
  "config file without get_config": (
    train("--config={here}/without.py", "--workdir={here}/w"),
    "without.py has no get_config(); see shapes/quickstart",
  ),
  "misspelt flag": (
    train(commands.QUICK, "--workdri={here}/w"),
    "there is no flag --workdri; did you mean --workdir?",
  ),
  "key of the config as a flag": (
    train(commands.QUICK, "--workdir={here}/w", "--epochs=3"),
    "there is no flag --epochs; did you mean --config.epochs?",
  ),
  "flag with a bad value": (
    train(commands.QUICK, "--workdir={here}/w", "--num_processes=two"),
    "--num_processes",
  ),
  "name without its folder": (
    train("--config=simclr:cpu", "--workdir={here}/w"),
    "config simclr is neither a name nor a file; did you mean cifar10/simclr or imagenet/simclr?",
  ),
  "config file that sets no key of a run": (
    train("--config={here}/misspelt.py", "--workdir={here}/w"),
    ("config has no key bach_size; did you mean batch_size?", "; correct it"),
  ),
  "config file that returns nothing": (
    train("--config={here}/nothing.py", "--workdir={here}/w"),
    "gives a NoneType; return contrastive_jax.config.pretrain()",
  ),
  "a word that is no flag": (
    train(commands.QUICK, "--workdir={here}/w", "again"),
    "argument 'again' is not",
  ),
  "plain accumulation of gradients": (
    train(commands.QUICK, "--workdir={here}/w", "--config.optimizer.accumulate_steps=4"),
    "over all of it (if that is what you want: --config.optimizer.plain_accumulation)",
  ),
  "two of three flags of several processes": (
    train(commands.QUICK, "--workdir={here}/w", "--num_processes=2", "--process_id=0"),
    "--coordinator is missing; give all of --coordinator, --num_processes, --process_id",
  ),
  "misspelt key": (
    train(commands.QUICK, "--workdir={here}/w", "--config.bach_size=64"),
    "config has no key bach_size; did you mean --config.batch_size?",
  ),
  "key in the wrong section": (
    train(commands.QUICK, "--workdir={here}/w", "--config.base_lr=1"),
    "config has no key base_lr; did you mean --config.optimizer.base_lr?",
  ),
  "value for a section": (
    train(commands.QUICK, "--workdir={here}/w", "--config.model=resnet18"),
    "--config.model is a section; set a key in it",
  ),
  "word for a number": (
    train(commands.QUICK, "--workdir={here}/w", "--config.epochs=many"),
    "--config.epochs=many is not a whole number; the default is",
  ),
  "fraction for a whole number": (
    train(commands.QUICK, "--workdir={here}/w", "--config.batch_size=12.5"),
    "--config.batch_size=12.5 is not a whole number",
  ),
  "word for a switch": (
    train(commands.QUICK, "--workdir={here}/w", "--config.log.views=perhaps"),
    "--config.log.views=perhaps is not true or false",
  ),
  "word for numbers": (
    train(commands.QUICK, "--workdir={here}/w", "--config.optimizer.milestones=abc"),
    "optimizer.milestones ('abc',) is not a tuple of numbers; the default is ()",
  ),
  "one number for two": (
    train(commands.QUICK, "--workdir={here}/w", "--config.data.shapes.scale_range=0.3"),
    "data.shapes.scale_range (0.3,) is not a tuple of 2 numbers; the default is (0.22, 0.4)",
  ),
  "three numbers for two": (
    train(commands.QUICK, "--workdir={here}/w", "--config.data.shapes.hue_range=(0.1,0.2,0.3)"),
    "data.shapes.hue_range (0.1, 0.2, 0.3) is not a tuple of 2 numbers; the default is (0.0, 1.0)",
  ),
  "word for whole numbers": (
    train(commands.QUICK, "--workdir={here}/w", "--config.data.shapes.rotations=abc"),
    "data.shapes.rotations ('abc',) is not a tuple of whole numbers; the default is (0, 1, 2, 3)",
  ),
  "fraction among whole numbers": (
    train(commands.QUICK, "--workdir={here}/w", "--config.data.shapes.rotations=(0,0.5)"),
    "data.shapes.rotations (0, 0.5) is not a tuple of whole numbers",
  ),
  "word for rules": (
    train(commands.QUICK, "--workdir={here}/w", "--config.optimizer.lr_rules=abc"),
    "optimizer.lr_rules ('abc',) is not a tuple of tuples",
  ),
  "rule without a pattern": (
    train(commands.QUICK, "--workdir={here}/w", "--config.optimizer.lr_rules=((0.5,True),)"),
    "lr_rules has (0.5, True); a rule is (path pattern, multiplier, constant), e.g. ",
  ),
  "numbers for names": (
    evaluation("--workdir={here}/norun", "--config.linear_sgd.step_epochs=(0.5,)"),
    "linear_sgd.step_epochs (0.5,) is not a tuple of whole numbers; the default is (60, 80)",
  ),
  "seed of more than 32 bits": (
    train(commands.QUICK, "--workdir={here}/w", "--config.seed=99999999999999999999"),
    "seed 99999999999999999999 is outside 0..4294967295; set --config.seed=",
  ),
  "negative seed of an evaluation": (
    evaluation("--workdir={here}/norun", "--config.seed=-1"),
    "seed -1 is outside 0..4294967295; set --config.seed=",
  ),
  "config of an evaluation for training": (
    train("--config=configs/eval/knn.py", "--workdir={here}/w", "--config.epochs=3"),
    "this config is of an evaluation; give it to eval.py",
  ),
  "config of training for an evaluation": (
    evaluation("--config", "configs/shapes/quickstart.py", "--workdir={here}/norun"),
    "this config is of pre-training; give it to train.py",
  ),
  "no temperature for neighbours": (
    train(commands.QUICK, "--workdir={here}/w", "--config.monitor.temperature=0"),
    "monitor.temperature 0.0 is not positive; set e.g. --config.monitor.temperature=0.07",
  ),
  "no number for the neighbours' temperature": (
    train(commands.QUICK, "--workdir={here}/w", "--config.monitor.temperature=nan"),
    "monitor.temperature nan is not positive; set e.g. --config.monitor.temperature=0.07",
  ),
  "fewer neighbours than none": (
    train(commands.QUICK, "--workdir={here}/w", "--config.monitor.max_train=-5"),
    "monitor.max_train -5 is below 0; set --config.monitor.max_train=0 or more",
  ),
  "fewer images to score than none": (
    train(commands.QUICK, "--workdir={here}/w", "--config.monitor.max_test=-5"),
    "monitor.max_test -5 is below 0; set --config.monitor.max_test=0 or more",
  ),
  "neighbours in batches of none": (
    train(commands.QUICK, "--workdir={here}/w", "--config.monitor.batch_size=0"),
    "monitor.batch_size 0 is below 1; set --config.monitor.batch_size=1 or more",
  ),
  "no epochs": (
    train(commands.QUICK, "--workdir={here}/w", "--config.epochs=0"),
    "epochs 0 is below 1",
  ),
  "batch of one": (
    train(commands.QUICK, "--workdir={here}/w", "--config.batch_size=1"),
    "batch_size 1 is below 2",
  ),
  "batch that devices do not divide": (
    train(commands.QUICK, "--workdir={here}/w", "--config.batch_size=100"),
    "batch_size 100 is not divisible by 8 devices; use 96 or 104",
  ),
  "more images in a batch than in the set": (
    train(commands.QUICK, "--workdir={here}/w", "--config.batch_size=8192"),
    "batch_size 8192 exceeds the 4096 images of the set",
  ),
  "temperature of zero": (
    train(commands.QUICK, "--workdir={here}/w", "--config.method.temperature=0"),
    "method.temperature 0.0 is not positive",
  ),
  "unknown head": (
    train(commands.QUICK, "--workdir={here}/w", "--config.method.head=deep"),
    "method.head 'deep' is unknown; use one of none, linear, mlp",
  ),
  "embedding of no numbers": (
    train(commands.QUICK, "--workdir={here}/w", "--config.method.embedding_size=0"),
    "each must be at least 1; set the sizes of heads in the section method, e.g. --config.method.",
  ),
  "batch norm in no groups": (
    train(commands.QUICK, "--workdir={here}/w", "--config.model.bn_groups=0"),
    "model.bn_groups 0 is below 1; set --config.model.bn_groups=1",
  ),
  "groups that do not divide the batch": (
    train(commands.QUICK, "--workdir={here}/w", "--config.model.bn_groups=3"),
    "model.bn_groups 3 does not divide batch_size 256; set --config.model.bn_groups=2, or",
  ),
  "half precision that loses small gradients": (
    train(commands.QUICK, "--workdir={here}/w", "--config.model.dtype=float16"),
    "model.dtype float16 would need its loss scaled; use bfloat16 or float32",
  ),
  "option of another family of models": (
    train(commands.QUICK, "--workdir={here}/w", "--config.model.name=vit_small"),
    "is unknown to vit_small; use one of patch_px, frozen_patch_projection, weight_init, dtype",
  ),
  "unknown method": (
    train(commands.QUICK, "--workdir={here}/w", "--config.method.name=simclear"),
    'method "simclear" is unknown; use one of',
  ),
  "unknown model": (
    train(commands.QUICK, "--workdir={here}/w", "--config.model.name=resnet51"),
    "model 'resnet51' is unknown; use one of",
  ),
  "unknown stem": (
    train(commands.QUICK, "--workdir={here}/w", "--config.model.stem=big"),
    "model stem 'big' is unknown; use one of",
  ),
  "unknown recipe": (
    train(commands.QUICK, "--workdir={here}/w", "--config.augment.recipe=simclrr"),
    "augment.recipe 'simclrr' is unknown; did you mean 'simclr'?",
  ),
  "probability above one": (
    train(commands.QUICK, "--workdir={here}/w", "--config.augment.blur=1.5"),
    "augment.blur 1.5 is not a probability; use 0 to 1",
  ),
  "unknown optimiser": (
    train(commands.QUICK, "--workdir={here}/w", "--config.optimizer.name=lasr"),
    "optimizer 'lasr' is unknown; use one of",
  ),
  "warm-up longer than the run": (
    train(commands.QUICK, "--workdir={here}/w", "--config.optimizer.warmup_epochs=99"),
    "optimizer warmup_epochs 99.0 must be between 0 and epochs",
  ),
  "unknown source": (
    train(commands.QUICK, "--workdir={here}/w", "--config.data.source=s3"),
    'data source "s3" is unknown; use one of folder, npz, shapes, tfds',
  ),
  "folder that is not there": (
    train(
      commands.QUICK,
      "--workdir={here}/w",
      "--config.data.source=folder",
      "--config.data.folder.path={here}/photos",
    ),
    '/photos"; set data.folder.path to a folder of images',
  ),
  "folder without images": (
    train(
      commands.QUICK,
      "--workdir={here}/w",
      "--config.data.source=folder",
      "--config.data.folder.path={here}/empty",
    ),
    "/empty; it must hold files ending in .jpg, ",
  ),
  "classes in a folder without splits": (
    train(
      commands.QUICK,
      "--workdir={here}/w",
      "--config.batch_size=8",
      "--config.data.source=folder",
      "--config.data.folder.path={here}/classes",
    ),
    ("classes has no sub-folder 'test'; make one", "set --config.monitor.max_train=0)"),
  ),
  "one npz with labels": (
    train(commands.QUICK, "--workdir={here}/w", "--config.batch_size=8", *npz("good.npz")),
    (
      "good.npz holds no split 'test'",
      "use one file per split",
      "set --config.monitor.max_train=0)",
    ),
  ),
  "folder with too few images": (
    train(
      commands.QUICK,
      "--workdir={here}/w",
      "--config.data.source=folder",
      "--config.data.folder.path={here}/folder",
    ),
    "batch_size 256 exceeds the 3 images of the set",
  ),
  "npz that is not there": (
    train(commands.QUICK, "--workdir={here}/w", *npz("gone.npz")),
    '/gone.npz"; set data.npz.path to a .npz file',
  ),
  "npz of floats": (
    train(commands.QUICK, "--workdir={here}/w", *npz("float.npz")),
    "images is float64, not uint8 in 0..255; convert it",
  ),
  "npz without images": (
    train(commands.QUICK, "--workdir={here}/w", *npz("unnamed.npz")),
    "has no array 'images' (nor image, x) but pixels; rename one",
  ),
  "tfds set that is not prepared": (
    train(
      commands.QUICK,
      "--workdir={here}/w",
      "--config.data.source=tfds",
      "--config.data.tfds.name=cifar10",
      "--config.data.tfds.path={here}/empty",
    ),
    "download_and_prepare()",
  ),
  "workdir that is a file": (
    train(commands.QUICK, "--workdir={here}/file"),
    ("file cannot be written", "; give another --workdir"),
  ),
  "evaluation of a directory that is no run": (
    evaluation("--workdir={here}/norun"),
    "norun holds no run (no config.json)",
  ),
  "evaluation of a directory that is not there": (
    evaluation("--workdir={here}/gone"),
    "gone holds no run (no config.json); give the --workdir of a train.py run",
  ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_by_one_line(mistake, here, capfd, monkeypatch):
  (script, arguments), wanted = MISTAKES[mistake]
  monkeypatch.setattr(sys, "argv", [])
  with pytest.raises(SystemExit) as left:
    commands.run(script, [a.format(here=here) for a in arguments])
  err = capfd.readouterr().err
  assert left.value.code == 2, err
  lines = [line for line in err.splitlines() if line]
  assert len(lines) == 1 and lines[0].startswith("error: "), err
  for words in (wanted,) if isinstance(wanted, str) else wanted:
    assert words in lines[0]
  assert "Traceback" not in err
  assert not (here / "w" / "checkpoints").exists(), "nothing may be half-written"


def test_help_of_the_wrong_kind_of_config_is_one_line(here, capfd):
  with pytest.raises(SystemExit) as left:
    commands.run("train", ["--config=configs/eval/knn.py", "--help_config"])
  assert left.value.code == 2
  assert capfd.readouterr().err.startswith("error: this config is of an evaluation")


def test_a_checkpoint_of_another_network_is_answered_by_one_line(here, capfd):
  other = str(here / "other")
  changes = ("--config.model.width=0.25", "--config.batch_size=16", "--config.monitor.max_train=0")
  asked = [commands.QUICK, *changes, "--config.data.shapes.num_train=32"]
  workdir_lib.make(other)
  workdir_lib.stamp(other, parse.parse(cli.COMMANDS["train"], asked).config)
  checkpoints = checkpoint.Checkpoints(other)
  leaf = {"kernel": jnp.ones((2, 2))}
  checkpoints.save(1, TrainState(jnp.asarray(1), leaf, {}, {}, {}, {}))
  checkpoints.wait()
  checkpoints.close()
  with pytest.raises(SystemExit) as left:
    commands.run("train", [*asked, f"--workdir={other}"])
  (line,) = capfd.readouterr().err.splitlines()
  assert left.value.code == 2
  assert line.startswith("error: checkpoint 1 has ")
  assert line.endswith("; use the run's own config or a new --workdir")
  assert checkpoint.saved_steps(other) == [1]


def test_there_are_thirty_mistakes():
  assert len(MISTAKES) >= 30


def test_the_script_itself_exits_with_code_2_and_one_line(tmp_path):
  environment = dict(os.environ, JAX_PLATFORMS="cpu", PYTHONPATH=str(REPOSITORY))
  done = subprocess.run(
    [sys.executable, "train.py", commands.QUICK, f"--workdir={tmp_path}", "--config.epochs=-1"],
    cwd=REPOSITORY,
    env=environment,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 2
  assert done.stderr == "error: epochs -1 is below 1; set --config.epochs=1 or more\n"
  assert done.stdout == ""


def test_help_config_lists_every_key_with_type_value_and_line(here, capfd):
  commands.run("train", [commands.QUICK, "--help_config"])
  out = capfd.readouterr().out
  rows = config.describe(config.pretrain())
  assert [row for row in rows if not row[3]] == [], "every key has its line"
  for key, kind, _, line in rows:
    assert any(r.startswith(key) and kind in r and line in r for r in out.splitlines()), key


def test_print_config_shows_what_overrides_made_of_it(here, capfd):
  commands.run(
    "train", [commands.QUICK, "--print_config", "--config.epochs=7", "--config.augment.blur=0.5"]
  )
  shown = config.from_json(capfd.readouterr().out)
  assert (shown.epochs, shown.augment.blur) == (7, 0.5)


@pytest.mark.parametrize(("given", "meant"), [("best", "best"), ("5", 5)])
def test_a_checkpoint_is_asked_for_by_step_or_as_the_best(given, meant, here, capfd):
  commands.run("eval", ["--print_config", f"--config.checkpoint_step={given}"])
  assert config.from_json(capfd.readouterr().out).checkpoint_step == meant
