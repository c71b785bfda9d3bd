"""The file of an evaluation: its own for each question, the old one where it is asked again."""

import os

import pytest

from contrastive_jax import errors
from contrastive_jax.evaluation import config, result_files


def asked(**changes):
  found = config.evaluation("knn").to_dict()
  data = {k.removeprefix("data_"): v for k, v in changes.items() if k.startswith("data_")}
  found["data"] |= data
  return found | {k: v for k, v in changes.items() if not k.startswith("data_")}


def answered(folder, question, step=5, name="knn"):
  stem = result_files.stem(folder, name, question, step)
  found = {"name": name, "checkpoint_step": step, "config": question, "results": []}
  result_files.write(folder / f"{stem}.json", found)
  return stem


@pytest.mark.parametrize(
  "change, stem",
  [
    ({}, "knn"),
    ({"layers": ("z",)}, "knn-2"),
    ({"data_label": "hue"}, "knn-2"),
    ({"seed": 1}, "knn-2"),
    ({"data_num_workers": 4}, "knn"),
    ({"batch_size": 64}, "knn"),
  ],
)
def test_another_question_has_another_file(change, stem, tmp_path):
  answered(tmp_path, asked())
  assert answered(tmp_path, asked(**change)) == stem
  assert answered(tmp_path, asked(**change)) == stem, "the same question, the same file"
  assert answered(tmp_path, asked()) == "knn"


def test_the_checkpoints_of_a_run_are_no_place_for_results(tmp_path):
  (tmp_path / "run" / "checkpoints" / "5").mkdir(parents=True)
  (tmp_path / "run" / "config.json").write_text("{}")
  (tmp_path / "link").symlink_to(tmp_path / "run" / "checkpoints" / "5")
  (tmp_path / "checkpoints").mkdir()
  result_files.check_place(tmp_path / "checkpoints")  # of no run
  result_files.check_place(tmp_path / "run" / "eval")
  for place in ("run/checkpoints", "run/checkpoints/5", "run/checkpoints/5/new", "link/new"):
    with pytest.raises(errors.UserError, match=f"--out .*{place} lies in the checkpoints of a run"):
      result_files.check_place(tmp_path / place)


def test_a_file_of_results_that_is_a_pipe_is_not_waited_for(tmp_path):
  os.mkfifo(tmp_path / "knn.json")
  assert result_files.stem(tmp_path, "knn", asked(), 5) == "knn-2"


def test_another_checkpoint_is_another_question(tmp_path):
  assert [answered(tmp_path, asked(), step) for step in (5, 10, 15, 10)] == [
    "knn",
    "knn-2",
    "knn-3",
    "knn-2",
  ]


def test_a_name_like_a_number_of_another_is_its_own(tmp_path):
  answered(tmp_path, asked())
  answered(tmp_path, asked(seed=1))
  assert answered(tmp_path, asked(seed=1), name="knn-2") == "knn-2-2"


@pytest.mark.parametrize("text", ["", "[]", '{"results": [], "config": 3}', "\udcff"])
def test_what_cannot_be_understood_stays(text, tmp_path):
  content = text.encode(errors="surrogateescape")
  (tmp_path / "knn.json").write_bytes(content)
  assert answered(tmp_path, asked()) == "knn-2"
  assert (tmp_path / "knn.json").read_bytes() == content
