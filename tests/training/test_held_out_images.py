"""Images that a run holds out of its training set: scored on the way, never trained on."""

import contextlib
import io
import json
import pathlib

import numpy as np
import pytest
from tiny_config import tiny, with_monitor

from contrastive_jax import errors, run_images
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.evaluation import evaluate
from contrastive_jax.training import opening, trainer
from contrastive_jax.workdir import loading


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  """A run whose test images cannot be opened."""
  folder = str(tmp_path_factory.mktemp("run"))
  c = with_monitor()
  c.data.eval_split = "absent"
  with contextlib.redirect_stderr(io.StringIO()) as said:
    trainer.train(c, folder)
  asked = "--config.data.held_out=True"
  assert said.getvalue().endswith(f"to score it: contrastive_jax eval --workdir={folder} {asked}\n")
  return folder


def test_the_best_checkpoint_is_chosen_without_the_test_images(workdir):
  lines = (pathlib.Path(workdir) / "metrics.jsonl").read_text().splitlines()
  assert "knn_top1" in json.loads(lines[-1])
  assert loading.best_step(workdir) == 2


def test_its_score_is_that_of_an_evaluation_of_what_was_held_out(workdir):
  asked = eval_config.evaluation("knn")
  asked.data.held_out, asked.knn.k = True, 5
  (found,) = evaluate.run(asked, workdir)["results"]
  last = json.loads((pathlib.Path(workdir) / "metrics.jsonl").read_text().splitlines()[-1])
  assert found["top1"] == pytest.approx(last["knn_top1"]) and found["num_test"] == 32


def test_memories_have_a_row_for_each_image_that_is_trained_on():
  c = with_monitor()
  source, held_out = run_images.training_set(c)
  assert (len(source), len(held_out)) == (32, 32)
  assert [source[i]["index"] for i in range(32)] == list(range(32))


def test_how_many_are_held_out_is_part_of_what_a_run_is(workdir):
  c = with_monitor()
  c.data.held_out = 16
  with pytest.raises(errors.UserError, match=r"data\.held_out 32 -> 16"):
    trainer.train(c, workdir)


def test_a_run_from_before_there_was_a_choice_held_nothing_out(tmp_path):
  c = tiny()
  folder = tmp_path / "run"
  workdir_lib.make(str(folder))
  stored = c.to_dict()
  del stored["data"]["held_out"]
  (folder / "config.json").write_text(json.dumps(stored))
  assert workdir_lib.stored_config(str(folder)).data.held_out == 0


def test_test_images_that_are_trained_on_are_told_before_training(tmp_path, caplog):
  c = with_monitor()
  np.savez(tmp_path / "train.npz", images=np.zeros((40, 4, 4, 3), np.uint8), labels=[0, 1] * 20)
  c.data.source, c.data.npz.path = "npz", str(tmp_path / "{split}.npz")
  source, _ = run_images.training_set(c)
  opening.scored(c, source)  # there is no test.npz
  assert caplog.text == ""
  (tmp_path / "test.npz").symlink_to("train.npz")
  opening.scored(c, source)
  assert '40 of the 40 images of data.eval_split "test" are also in data.split' in caplog.text
  caplog.clear()
  c.data.eval_split = "train"
  opening.scored(c, source)
  assert 'data.split and data.eval_split are both "train"' in caplog.text
