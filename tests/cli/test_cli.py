"""The command answers help, versions and mistakes by itself, and before JAX is loaded."""

import subprocess
import sys

import commands
import pytest
from conftest import REPOSITORY

from contrastive_jax import __version__, cli, config, config_files
from contrastive_jax.cli import parse

DOORS = {
  "train": (["train.py"], ["-m", "contrastive_jax", "train"]),
  "eval": (["eval.py"], ["-m", "contrastive_jax", "eval"]),
}
LISTS_HEAVY = """
import atexit, sys
heavy = ("jax", "flax", "optax", "grain", "tensorflow_datasets", "matplotlib")
atexit.register(lambda: print([m for m in heavy if m in sys.modules]))
from contrastive_jax import cli
cli.main(sys.argv[1:])
"""


def python(*arguments):
  return subprocess.run(
    [sys.executable, *arguments], cwd=REPOSITORY, capture_output=True, text=True
  )


@pytest.mark.parametrize("word", ["--help", "-h", "--helpfull"])
@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_names_every_flag_and_config_of_a_command(command, word, capfd):
  commands.run(command, [word])
  out = capfd.readouterr().out
  assert cli.COMMANDS[command].line in out
  for flag in ("--config", "--workdir", "--help_config"):
    assert flag in out
  assert ("--coordinator" in out) == cli.COMMANDS[command].itself
  assert ("--plan" in out) == (command in ("train", "study"))
  for kind in config_files.KINDS:
    for name in config_files.names(kind):
      assert (f"  {name}  " in out) == (kind == cli.COMMANDS[command].kind)
  assert ("--verbosity" in out) == (word == "--helpfull")


@pytest.mark.parametrize(
  ("command", "line"),
  [
    ("train", "--workdir=... directory of the run"),
    ("study", "--workdir=... directory of the study"),
    ("prepare", "--workdir=... has no meaning here"),
  ],
)
def test_help_says_what_the_workdir_of_a_command_is(command, line, capfd):
  commands.run(command, ["--help"])
  assert line in " ".join(capfd.readouterr().out.split())


def test_help_of_the_program_names_its_commands(capfd):
  cli.main(["--help"])
  out = capfd.readouterr().out
  for command in (*cli.COMMANDS, "compare", "launch"):
    assert f"\n  {command} " in out


def test_help_names_the_arguments_of_a_config(capfd):
  assert config_files.arguments("cifar10/moco") == ["200", "v1", "cpu"]
  commands.run("train", ["--help"])
  assert "(:200 :v1 :cpu)" in " ".join(capfd.readouterr().out.split())


def test_every_config_has_one_line():
  for kind in config_files.KINDS:
    lines = [config_files.line(name) for name in config_files.names(kind)]
    assert all(line.endswith((".", "?")) and len(line) > 10 for line in lines), lines


@pytest.mark.parametrize("words", [["--version"], ["train", "--version"], ["eval", "--version"]])
def test_version(words, capfd):
  cli.main(words)
  assert capfd.readouterr().out.startswith(f"contrastive_jax {__version__} (jax ")


@pytest.mark.parametrize("words", [[], ["trian"], ["--config=shapes/quickstart"]])
def test_a_line_without_a_command_is_answered_by_one_line(words, capfd):
  with pytest.raises(SystemExit) as left:
    cli.main(words)
  assert left.value.code == 2
  (line,) = capfd.readouterr().err.splitlines()
  known = ", ".join((*cli.COMMANDS, *cli.WITHOUT_CONFIG, "launch"))
  assert line.startswith("error: ") and f"use one of {known}, or" in line


@pytest.mark.parametrize("command", DOORS)
def test_all_doors_say_the_same(command):
  scripts = [python(*door, "--help") for door in DOORS[command]]
  assert scripts[0].stdout == scripts[1].stdout != ""
  assert [done.returncode for done in scripts] == [0, 0]


@pytest.mark.parametrize(
  ("code", "words"),
  [
    (0, ["--help"]),
    (0, ["train", "--help"]),
    (0, ["train", "--config=cifar10/byol:cpu", "--help_config"]),
    (0, ["eval", "--config=eval/all", "--print_config"]),
    (0, ["compare", "--help"]),
    (2, ["train", "--bach=3"]),
    (2, ["compare"]),
    (2, ["compare", "nowhere"]),
    (2, ["train", "--config=cifar10/moco", "--epochs=3"]),
    (2, ["train", "--config=imagenet/dino:resnet50", "--config.method.temprature=1"]),
    (2, ["train", "--config=imagenet/moco_v3_vit", "--config.batch_size=many"]),
    (2, ["train", "--config=simclr"]),
    (2, ["eval", "--config.knn.kk=3"]),
    (2, ["eval", "--config=shapes/quickstart"]),
    (0, ["study", "--help"]),
    (0, ["study", "--config=studies/batch_size:cpu", "--help_config"]),
    (0, ["study", "--config=studies/batch_size:tiny", "--list", "--workdir=no/such/folder"]),
    (0, ["study", "--config=studies/batch_size:tiny", "--dry_run", "--workdir=no/such/folder"]),
    (0, ["study", "--config=studies/batch_size:tiny", "--slurm=4"]),
    (2, ["study", "--config=shapes/quickstart"]),
    (2, ["study", "--config=studies/batch_sise", "--list"]),
    (2, ["study", "--config=studies/batch_size", "--jbos=3"]),
    (2, ["study", "--config=studies/batch_size", "--config.seed=3"]),
  ],
)
def test_an_answer_needs_no_jax(code, words):
  done = python("-c", LISTS_HEAVY, *words)
  assert done.returncode == code, done.stderr
  assert done.stdout.splitlines()[-1] == "[]", done.stdout
  assert "Traceback" not in done.stderr
  assert len(done.stderr.splitlines()) == (code == 2)


def test_a_flag_file_stands_for_its_lines(tmp_path, capfd):
  file = tmp_path / "flags"
  file.write_text("--config=shapes/quickstart\n--config.epochs=7\n")
  commands.run("train", [f"--flagfile={file}", "--print_config", "--config.batch_size=32"])
  shown = config.from_json(capfd.readouterr().out)
  assert (shown.epochs, shown.batch_size) == (7, 32)


@pytest.mark.parametrize(
  "words",
  [
    ["--config", "shapes/quickstart", "--config.epochs", "7"],
    ["-config=configs/shapes/quickstart.py", "-config.epochs=7"],
    ["--config.epochs=7", "--config=./configs/shapes/quickstart.py"],
    ["--config=shapes/quickstart.py", "--config=shapes/quickstart", "--config.epochs=7"],
  ],
)
def test_a_config_is_given_in_any_spelling(words, tmp_path, monkeypatch, capfd):
  monkeypatch.chdir(tmp_path)
  commands.run("train", [*words, "--print_config", "--noconfig.log.views"])
  shown = config.from_json(capfd.readouterr().out)
  assert (shown.epochs, shown.log.views, shown.model.stem) == (7, False, "cifar_s2")


def test_a_file_of_ones_own_goes_before_a_name(tmp_path, monkeypatch, capfd):
  monkeypatch.chdir(tmp_path)
  own = tmp_path / "configs" / "shapes" / "quickstart.py"
  own.parent.mkdir(parents=True)
  own.write_text(
    "from contrastive_jax.configs import common\n\n\ndef get_config(epochs='3'):\n"
    "  c = common.cifar10('byol', 'simclr', 'cpu')\n  c.epochs = int(epochs)\n  return c\n"
  )
  commands.run("train", ["--config=configs/shapes/quickstart.py:5", "--print_config"])
  shown = config.from_json(capfd.readouterr().out)
  assert (shown.epochs, shown.method.name) == (5, "byol")


def test_a_tilde_is_the_home_of_the_user(monkeypatch):
  monkeypatch.setenv("HOME", "/somewhere")
  asked = parse.parse(cli.COMMANDS["train"], [commands.QUICK, "--workdir=~/runs/x"])
  assert asked.flags["workdir"].value == "/somewhere/runs/x"
