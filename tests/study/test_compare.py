"""Runs beside each other: what differs is named, and no state of a run is too poor for it."""

import csv
import json
import pathlib

import pytest
import run_folders

from contrastive_jax import cli, config, errors
from contrastive_jax.study import compare, compare_report, tables


def real_config(**changes):
  """The nested config of a run, as its config.json has it."""
  made = config.pretrain("simclr", "resnet8")
  for key, value in changes.items():
    made[key] = value
  return made.to_dict()


@pytest.fixture
def runs(tmp_path):
  """A run that is done, and one of another method, killed in the middle, of the same base name."""
  first, second = tmp_path / "a" / "run", tmp_path / "b" / "run"
  run_folders.write_run(first, top1=0.9, config=real_config(batch_size=64) | {"epochs": 2})
  byol = config.pretrain("byol", "resnet8").to_dict() | {"epochs": 2, "batch_size": 32}
  run_folders.write_run(second, top1=None, config=byol)
  lines = (second / "metrics.jsonl").read_text().splitlines()
  (second / "metrics.jsonl").write_text("\n".join([*lines[:3], lines[4][:20]]))
  return [str(first), str(second)]


def found(comparison, title):
  """The table of a title, as {first cell: the others}."""
  (table,) = (table for table in comparison.tables if table.title == title)
  return {row[0]: list(row[1:]) for row in table.rows}


def test_runs_of_one_name_are_told_apart_by_their_folders(runs):
  rows = found(compare.compare(runs), "Runs")
  assert rows["a/run"][:4] == ["simclr", "resnet8", "8 of 8", "1"]
  assert rows["b/run"][:4] == ["byol", "resnet8", "3 of 8", "0"]
  assert rows["b/run"][-1] == "metrics.jsonl: 1 damaged line left out"


def test_curves_are_read_at_shares_of_each_runs_way(runs):
  assert found(compare.compare(runs), "contrastive_accuracy, %") == {
    "a/run": ["12.50", "25.00", "50.00", "75.00", "100.00", "100.00", "8"],
    "b/run": ["12.50", "-", "12.50", "25.00", "37.50", "37.50", "3"],
  }


def test_scores_are_those_of_all_results(runs):
  run_folders.write_result(pathlib.Path(runs[1]), "knn", 0.36, num_test=None)
  run_folders.write_result(
    pathlib.Path(runs[1]), "more", 0.64, num_test=3600, encoder="random_init"
  )
  assert found(compare.compare(runs), "Scores: top-1, %") == {
    "knn/knn.h.checkpoint": ["90.00 ± 0.95 (1,000 images)", "36.00"],
    "more/knn.h.random_init": ["-", "64.00 ± 0.80 (3,600 images)"],
  }


def test_keys_that_differ_are_named_and_those_of_no_consequence_set_apart(runs):
  """Of data sources that neither takes, nothing is said."""
  changed = real_config(batch_size=64) | {"epochs": 2, "max_skipped_steps": 9}
  changed["data"]["folder"]["path"] = "elsewhere"
  (pathlib.Path(runs[1]) / "config.json").write_text(json.dumps(changed | {"batch_size": 32}))
  comparison = compare.compare(runs)
  assert found(comparison, "Config") == {"batch_size": ["64", "32"]}
  assert found(comparison, "Config: how the work is done") == {"max_skipped_steps": ["3", "9"]}


def test_keys_of_one_method_alone_are_absent_in_the_other(runs):
  rows = found(compare.compare(runs), "Config")
  assert rows["method.name"] == ["simclr", "byol"]
  assert rows["method.temperature"][1] == "-" != rows["method.temperature"][0]


def test_versions_that_differ_are_named(runs):
  stamped = run_folders.VERSIONS | {"git_commit": "0123456789abcdef" * 2 + "01234567+changes"}
  (pathlib.Path(runs[0]) / "versions.json").write_text(json.dumps(stamped | {"config_sha256": "a"}))
  other = stamped | {"jax": "0.11.0", "config_sha256": "b"}
  (pathlib.Path(runs[1]) / "versions.json").write_text(json.dumps(other))
  comparison = compare.compare(runs)
  assert found(comparison, "Versions and hardware") == {"jax": ["0.10.2", "0.11.0"]}


def test_a_run_with_nothing_but_its_config_or_its_metrics_is_compared(runs, tmp_path):
  begun, bare = tmp_path / "begun", tmp_path / "bare"
  begun.mkdir()
  bare.mkdir()
  (begun / "config.json").write_text("{}")
  (bare / "metrics.jsonl").write_text('{"step": 1, "loss": 3}\n')
  comparison = compare.compare([*runs, str(begun), str(bare)])
  assert found(comparison, "loss")["bare"][:1] == ["3"]
  assert found(comparison, "Runs")["begun"][:3] == ["-", "-", "0"]
  assert "seed" not in found(comparison, "Config")  # the two that have a config agree


def test_a_metric_is_asked_for_by_name(runs):
  assert compare.compare(runs, ["epoch"]).metrics == ["epoch"]
  with pytest.raises(errors.UserError, match="metric los; did you mean loss?"):
    compare.compare(runs, ["los"])


def test_many_runs_are_numbered(tmp_path):
  folders = [tmp_path / f"a_run_with_a_rather_long_name_{i}" for i in range(3)]
  for folder in folders:
    run_folders.write_run(folder, top1=0.5)
  comparison = compare.compare([str(folder) for folder in folders])
  assert list(found(comparison, "loss")) == ["[1]", "[2]", "[3]"]
  assert list(found(comparison, "Runs"))[2] == "[3] a_run_with_a_rather_long_name_2"


@pytest.mark.parametrize(
  ("make", "said"),
  [
    (lambda p: None, "is no folder; give workdirs of runs"),
    (lambda p: p.mkdir(), "holds no run (no config.json); give the workdir of a run"),
    (lambda p: (p / "cells").mkdir(parents=True), "it is a study, give {}/cells/*"),
  ],
)
def test_what_is_no_run_is_refused(make, said, tmp_path):
  make(tmp_path / "w")
  with pytest.raises(errors.UserError) as refused:
    compare.compare([str(tmp_path / "w")])
  assert said.format(tmp_path / "w") in str(refused.value)


def test_a_run_is_not_compared_with_itself(runs):
  with pytest.raises(errors.UserError, match="given twice"):
    compare.compare([runs[0], f"{runs[0]}/."])


def test_files_hold_all_numbers_and_a_page_without_network(runs, tmp_path):
  comparison = compare.compare(runs)
  paths = compare_report.write(comparison, tmp_path / "out", "contrastive_jax compare '<b>'")
  names = {path.name for path in paths}
  assert names == {"curves.png", "curves.svg", "table.csv", "table.md", "index.html"}
  assert names == set(compare.FILES), "what is looked for before it is written"
  with (tmp_path / "out" / "table.csv").open(newline="") as file:
    rows = {(row["run"], row["figure"]): row for row in csv.DictReader(file)}
  assert rows["a/run", "knn/knn.h.checkpoint:top1"]["value"] == "0.9"
  assert rows["b/run", "metric.epoch"]["value"] == "0.75"
  page = (tmp_path / "out" / "index.html").read_text()
  assert "default-src 'none'" in page and "&lt;b&gt;" in page and "<b>" not in page
  assert 'href="http' not in page and 'src="' not in page
  assert tables.document("Runs compared", comparison.tables) == (
    (tmp_path / "out" / "table.md").read_text()
  )


@pytest.mark.parametrize("name", ["index.html", "table.csv"])
def test_files_that_others_wrote_are_not_replaced(name, runs, tmp_path, capfd):
  out = tmp_path / "mine"
  out.mkdir()
  (out / name).write_text("mine")
  with pytest.raises(SystemExit) as left:
    cli.main(["compare", *runs, f"--out={out}"])
  said = capfd.readouterr().err.strip().splitlines()[-1]
  assert left.value.code == errors.EXIT_USER_ERROR
  assert said.endswith(f"{name} is there, and nothing tells that contrastive_jax has written it; "
                       "give another --out")  # fmt: skip
  assert [path.name for path in out.iterdir()] == [name] and (out / name).read_text() == "mine"


def test_a_comparison_is_replaced_by_the_next(runs, tmp_path):
  for _ in range(2):
    cli.main(["compare", *runs, f"--out={tmp_path / 'out'}"])
