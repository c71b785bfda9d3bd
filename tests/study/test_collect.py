"""A run's folder is read whatever state it is in, and a figure is the one that was asked for."""

import json

import pytest
import run_folders

from contrastive_jax import errors
from contrastive_jax.study import collect, figures


@pytest.fixture
def folder(tmp_path):
  run_folders.write_run(tmp_path / "run", top1=0.5, held_out=0.25)
  return tmp_path / "run"


def test_figures_are_found_by_name(folder):
  run = collect.read(folder)
  assert figures.find(run, "knn.h") == (0.5, 1000, ())
  assert figures.find(run, "knn.h:top5") == (1.0, 1000, ())
  assert figures.find(run, "metric.contrastive_accuracy") == (1.0, None, ())
  for absent in ("knn.z", "knn.h.random_init", "linear_sgd.h", "metric.nothing", "other/knn.h"):
    assert figures.find(run, absent) is None


def test_held_out_images_and_test_images_are_kept_apart(folder):
  assert figures.find(collect.read(folder), "knn.h", held_out=True).value == 0.25
  (folder / "eval" / "knn.json").unlink()
  assert figures.find(collect.read(folder), "knn.h") is None


def test_what_is_no_figure_is_refused(folder):
  with pytest.raises(errors.UserError, match="no PROTOCOL.LAYER"):
    figures.find(collect.read(folder), "accuracy")


def test_the_newest_checkpoint_counts_and_other_values_are_named(folder):
  run_folders.write_result(folder, "knn", 0.7, file="knn-2.json", step=16)
  assert figures.find(collect.read(folder), "knn.h") == (0.7, 1000, ("knn.json",))


def test_an_evaluation_is_asked_for_by_its_name(folder):
  run_folders.write_result(folder, "rotation", 0.9)
  found = collect.read(folder)
  assert figures.find(found, "rotation/knn.h").value == 0.9
  assert figures.find(found, "knn/knn.h").value == 0.5


def test_a_picture_is_no_result(folder):
  run_folders.write_result(folder, "seen", 0.9, protocol="picture", file="seen.json")
  assert {result.protocol for result in collect.read(folder).results} == {"knn"}


def test_scores_of_other_weights_are_left_out_and_told(folder):
  run_folders.write_result(folder, "other", 0.9)
  file = folder / "eval" / "other.json"
  found = json.loads(file.read_text())
  found["config"] = {"init": {"path": "resnet50.safetensors"}}
  file.write_text(json.dumps(found))
  run = collect.read(folder)
  assert {result.name for result in run.results} == {"knn", "held_out"}
  assert run.notes == ["other.json has scores of other weights (init.path), which are left out"]


def test_lines_that_are_damaged_are_left_out_and_told(folder):
  with (folder / "metrics.jsonl").open("a") as file:
    file.write('[1]\n{"step": 9, "loss": null}\n{"step": 10, "lo')
  run = collect.read(folder)
  assert run.notes == ["metrics.jsonl: 2 damaged lines left out"]
  assert collect.curve(run, "loss")[-1][0] == 8  # null was not finite


def test_files_that_are_damaged_are_told(folder):
  for name in ("config.json", "versions.json", "eval/knn.json", "cell.json"):
    (folder / name).write_text("{")
  run = collect.read(folder)
  assert (run.config, run.versions, run.state) == ({}, {}, {})
  assert {note.split(" ")[0] for note in run.notes} == {
    *("config.json", "versions.json", "knn.json", "cell.json")
  }


def test_an_empty_folder_is_a_run_without_anything(tmp_path):
  run = collect.read(tmp_path)
  assert (run.metrics, run.results, run.notes) == ([], [], [])
  assert collect.seconds(run) is None and collect.total_steps(run) is None


@pytest.mark.parametrize("content", ["[]", "{}", '{"results": [3, {"protocol": "knn"}]}'])
def test_results_of_another_form_are_passed_over(folder, content):
  (folder / "eval" / "knn.json").write_text(content)
  assert figures.find(collect.read(folder), "knn.h") is None


def test_time_is_that_of_the_study_or_of_the_lines(folder):
  assert collect.seconds(collect.read(folder)) == 8
  (folder / "cell.json").write_text(json.dumps({"seconds": 90}))
  assert collect.seconds(collect.read(folder)) == 90


def test_a_run_tells_how_far_it_is(folder):
  lines = (folder / "metrics.jsonl").read_text().splitlines()[:3]
  (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
  run = collect.read(folder)
  assert (run.metrics[-1]["step"], collect.total_steps(run)) == (3, 8)


def test_a_long_curve_is_thinned_to_its_ends():
  points = [(step, 1.0 / step) for step in range(1, 5001)]
  found = collect.thinned(points)
  assert (len(found), found[0], found[-1]) == (200, points[0], points[-1])
  assert [len(collect.thinned(points, curves)) for curves in (1, 100, 1000)] == [200, 80, 24]
