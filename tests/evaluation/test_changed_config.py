"""A config.json that was changed together with its digest: one line with file and key, or no harm.

Every key gets values of other kinds and sizes, and both who goes on with the run and who evaluates
it read the file. Nothing is trained, and an evaluation ends where it would begin to compute.
"""

import hashlib
import json

import pytest
import whole_runs
from tiny_config import tiny

from contrastive_jax import build, config, errors, parallel
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.evaluation import evaluate
from contrastive_jax.step import state as state_lib
from contrastive_jax.workdir import attempts, checkpoint, state_files

VALUES = ("x", -1, 10**12, [1], None, {}, 1.5, "", True)
KEYS = sorted(config.flatten(tiny()))


class Begins(Exception):
  """The evaluation would begin to compute."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """A workdir with the checkpoint of an untrained network."""
  workdir, c = tmp_path_factory.mktemp("run"), tiny()
  mesh = parallel.make_mesh(whole_runs.one_device())
  parts = build.run(c, c.data.shapes.num_train, num_classes=4, num_devices=1)
  workdir_lib.stamp(str(workdir), c)
  checkpoints = checkpoint.Checkpoints(str(workdir))
  checkpoints.save(0, state_lib.create(parts.init, seed=0, mesh=mesh))
  checkpoints.wait()
  checkpoints.close()
  return workdir, (workdir / "config.json").read_text()


@pytest.fixture(autouse=True)
def computes_nothing(run, monkeypatch):
  """Reads the weights once, and ends an evaluation where it would begin."""

  def begins(*_):
    raise Begins

  held = attempts.attempt(0, weights(run[0]), state_files.read_model, lambda *_: None)
  monkeypatch.setattr(attempts, "attempt", lambda *_: held)
  monkeypatch.setattr(evaluate, "_prepare", begins)


def weights(workdir):
  return workdir / "checkpoints" / "0"


def answers(run, change):
  """Returns what resuming and evaluating say of a changed config, "" where it does no harm."""
  workdir, text = run
  found = json.loads(text)
  change(found)
  text = json.dumps(found)
  (workdir / "config.json").write_text(text)
  digest = hashlib.sha256(text.encode()).hexdigest()
  (workdir / "versions.json").write_text(json.dumps({"config_sha256": digest}))
  asked = eval_config.evaluation("knn")
  resume = lambda: workdir_lib.check(str(workdir), tiny())  # noqa: E731
  score = lambda: evaluate.run(asked, str(workdir), whole_runs.one_device())  # noqa: E731
  said = []
  for read in (resume, score):
    try:
      read()
    except Begins:
      pass
    except errors.UserError as error:
      said.append(str(error))
      continue
    said.append("")
  return said


def check_value(run, key, value):
  def change(found):
    *sections, last = key.split(".")
    for name in sections:
      found = found[name]
    found[last] = value

  for line in filter(None, answers(run, change)):
    *section, last = key.split(".")
    named = last in line or (last == "name" and section[0] in line)
    assert named or ("of another network" in line and "and defaults" in line), line
    assert "config.json" in line and "\n" not in line and "Could not override" not in line, line


@pytest.mark.parametrize("number", range(len(KEYS)), ids=KEYS)
def test_any_key_of_another_value_is_named_or_does_no_harm(run, number):
  check_value(run, KEYS[number], VALUES[number % len(VALUES)])


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_any_key_of_any_other_value_is_named_or_does_no_harm(run, key):
  for value in VALUES:
    check_value(run, key, value)


@pytest.mark.parametrize("name", ["resnet14", "resnet18"])
def test_the_config_of_another_network_is_told_before_its_weights_are_used(run, name):
  _, line = answers(run, lambda found: found["model"].update(name=name))
  assert "of another network than the checkpoint: " in line and f"model.name {name}" in line
  assert "config.json" in line


def test_the_config_as_it_was_is_taken(run):
  assert answers(run, lambda found: None) == ["", ""]
