"""Cells are run once, chosen among on images held out, and scored on test images once.

In this process, by `stand_in.Children`: what is started, in which order, and what is written.
"""

import itertools
import json
import logging
import shutil

import commands
import pytest
import small
import stand_in

from contrastive_jax import errors
from contrastive_jax.study import (
  agree,
  cells,
  children,
  choose,
  layout,
  listing,
  place,
  report,
  search,
  selection,
  work,
)
from contrastive_jax.study import config as study_config


@pytest.fixture(autouse=True)
def lines(caplog, monkeypatch):
  """What is logged; a cell that is under way elsewhere is tried again at once."""
  monkeypatch.setattr("contrastive_jax.study.runner._WAIT_S", 0.01)
  monkeypatch.setattr("contrastive_jax.study.runner._POLL_S", 0.01)
  monkeypatch.setattr(stand_in, "PAUSE_S", 0)
  caplog.set_level(logging.INFO, "contrastive_jax")
  return caplog


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  """The folder of a study that is done; not to be changed."""
  root = tmp_path_factory.mktemp("finished")
  small.run_here(small.study(), root)
  return root


@pytest.fixture
def root(finished, tmp_path):
  """A copy of it."""
  return shutil.copytree(finished, tmp_path / "root")


def test_only_the_best_by_images_held_out_is_scored_on_test_images(root):
  assert {name: made["chosen"] for name, made in layout.choices(root).items()} == {
    "batch=64": {"rate": "0.3"},
    "batch=128": {"rate": "0.3"},
  }
  tested = {path.parent.parent.name for path in root.glob("cells/*/eval/knn.json")}
  assert tested == {f"batch={b},rate=0.3,seed={s}" for b in (64, 128) for s in (0, 1)}
  held_out = json.loads((root / f"cells/{min(tested)}/eval/held_out.json").read_text())
  assert held_out["config"]["data"]["held_out"] is True
  done = layout.record(root, min(tested))
  assert done | {"seconds": 0} == {
    "labels": {"batch": "128", "rate": "0.3"},
    "seed": 0,
    "state": "done",
    "step": stand_in.STEPS,
    "devices": {"kind": "none", "count": 1},
    "scored": ["held_out", "knn"],
    "seconds": 0,
    "exit_code": 0,
    "error": "",
  }


def test_what_is_done_is_never_done_again(root):
  before, outcome = small.starts(root), small.outcome(root)
  assert len(before) == 8 + 8 + 4  # trained, scored on images held out, scored on test images
  small.run_here(small.study(), root, jobs=3)
  assert small.starts(root) == before
  assert small.outcome(root) == outcome


def test_without_a_choice_every_cell_is_scored_on_test_images(tmp_path):
  small.run_here(small.study(choose=(), line="rate"), tmp_path)
  assert len(list(tmp_path.glob("cells/*/eval/knn.json"))) == 8
  assert not list(tmp_path.glob("cells/*/eval/held_out.json"))


@pytest.mark.parametrize("lost", ["cell.json", "checkpoints", "eval"])
def test_what_a_cell_lacks_is_made_up_for(lost, root):
  made = small.study()
  outcome, count = small.outcome(root), len(small.starts(root))
  path = layout.cell(root, "batch=64,rate=0.3,seed=1") / lost
  path.rename(root / "away")
  small.run_here(made, root)
  assert small.outcome(root) == outcome
  again = small.starts(root)[count:]
  assert {cell for _, cell, _ in again} == {path.parent.name}
  assert [command for command, *_ in again].count("train") == (lost != "eval")


def test_the_best_mean_over_seeds_is_chosen_and_of_equals_the_first(tmp_path):
  made = small.study()
  made.axes = {
    "batch": {"64": {"batch_size": 64}},
    # Runs that differ, or they would be one cell, in what the stand-in does not look at.
    "rate": {
      label: {"optimizer.base_lr": 0.3, "log.every_steps": n} for n, label in enumerate("cba", 1)
    },
  }
  small.run_here(made, tmp_path)
  (choice,) = layout.choices(tmp_path).values()
  assert choice["chosen"] == {"rate": "c"}
  mean = 0.9 - 0.001 * (0 + 1) / 2 - 64 / 10_000
  assert list(choice["means"].values()) == [pytest.approx(mean)] * 3


def test_a_cell_that_fails_is_told_and_the_rest_goes_on(tmp_path, lines):
  fails = {"method.temperature": stand_in.FAILS, "batch_size": 64}
  made = small.study(seeds=(0,))
  made.axes = {
    "batch": {"64": fails, "128": {"batch_size": 128}},
    "rate": study_config.each("optimizer.base_lr", (0.1, 0.3)),
  }
  done = small.run_here(made, tmp_path)
  assert done.failed == {
    "batch=64,rate=0.1,seed=0": "error: it fails",
    "batch=64,rate=0.3,seed=0": "error: it fails",
  }
  assert done.undecided == ["batch=64"]
  assert "cell 1 of 4, batch=64,rate=0.1,seed=0: FAILED: error: it fails" in lines.messages
  record = layout.record(tmp_path, "batch=64,rate=0.1,seed=0")
  assert (record["state"], record["exit_code"]) == ("failed", 2)
  assert layout.choices(tmp_path)["batch=128"]["chosen"] == {"rate": "0.3"}
  count = len(small.starts(tmp_path))
  small.run_here(made, tmp_path)
  assert len(small.starts(tmp_path)) == count + 2, "what failed is tried again, once"


def test_a_failed_cell_is_in_the_exit_code(tmp_path, monkeypatch, capfd):
  monkeypatch.setattr(children, "Children", lambda *_: stand_in.Children())
  more = 'study.axes = {"batch": {"1": {"method.temperature": 0.31}, "2": {}}}\nstudy.choose = ()'
  config, root = small.write(tmp_path, more), tmp_path / "root"
  with pytest.raises(SystemExit) as left:
    commands.run("study", [f"--config={config}", f"--workdir={root}", "--only=seed=0"])
  assert left.value.code == errors.EXIT_CELLS_FAILED
  err = capfd.readouterr().err
  assert err.splitlines()[-1].startswith("failed: 1 of 2 cells: batch=1,seed=0 (see output.log")
  assert layout.record(root, "batch=2,seed=0")["state"] == layout.DONE


def test_a_run_that_diverges_is_the_worst_choice_and_is_left_at_that(tmp_path):
  made = small.study()
  diverges = {"optimizer.base_lr": 0.3, "method.temperature": stand_in.DIVERGES}
  made.axes = {
    "batch": {"64": {"batch_size": 64}},
    "rate": {"0.3": diverges, "0.1": {"optimizer.base_lr": 0.1}},
  }
  done = small.run_here(made, tmp_path)
  (choice,) = layout.choices(tmp_path).values()
  assert (done.failed, choice["chosen"], choice["means"]["rate=0.3"]) == ({}, {"rate": "0.1"}, None)
  count = len(small.starts(tmp_path))
  small.run_here(made, tmp_path)
  assert len(small.starts(tmp_path)) == count


def test_seeds_that_do_not_choose_run_what_was_chosen_alone(tmp_path):
  made = study_config.resolve(small.study(seeds=(0, 1, 2), choose_seeds=1))
  everything = cells.cells(made)
  listed = listing.table(made, place.Place(tmp_path), everything)
  assert listed.count("if chosen") == 8 and "12 cells, 4 to go" in listed
  small.run_here(made, tmp_path)
  assert {path.name for path in (tmp_path / "cells").iterdir()} == {
    *(f"batch={b},rate=0.1,seed=0" for b in (64, 128)),
    *(f"batch={b},rate=0.3,seed={s}" for b in (64, 128) for s in (0, 1, 2)),
  }
  scored = {tuple(path.parts[-3::2]) for path in tmp_path.glob("cells/*/eval/*.json")}
  assert ("batch=64,rate=0.3,seed=2", "knn.json") in scored
  assert ("batch=64,rate=0.3,seed=2", "held_out.json") not in scored
  choices = layout.choices(tmp_path).values()
  assert [(c["chosen"], c["seeds"]) for c in choices] == [({"rate": "0.3"}, [0])] * 2
  listed = listing.table(made, place.Place(tmp_path), everything)
  assert "if chosen" not in listed and listed.endswith("\nall done\n")
  count = len(small.starts(tmp_path))
  small.run_here(made, tmp_path, jobs=2)
  assert len(small.starts(tmp_path)) == count
  report.write(made, everything, tmp_path)
  table = (tmp_path / "report" / "table.csv").read_text()
  assert "missing" not in table and "rate=0.1,seed=1" not in table
  assert "Not all cells are done" not in (tmp_path / "report" / "index.html").read_text()


def test_a_seed_that_was_not_asked_for_is_not_run_because_its_label_was_chosen(tmp_path):
  made = study_config.resolve(small.study(seeds=(0, 1, 2), choose_seeds=1))
  small.run_here(made, tmp_path, selection.only(made, cells.cells(made), ["seed=0,1"]))
  assert {path.name[-6:] for path in (tmp_path / "cells").iterdir()} == {"seed=0", "seed=1"}


def test_a_chosen_run_that_diverges_in_a_seed_that_does_not_choose_has_failed(tmp_path):
  made = small.study(choose_seeds=1)
  made.axes = {"batch": {"64": {"batch_size": 64}}, "rate": {"0.3": {"optimizer.base_lr": 0.3}}}
  small.run_here(made, tmp_path, selection.only(made, cells.cells(made), ["seed=0"]))
  made.changes = {"method.temperature": stand_in.DIVERGES}  # as if it did with the other seed
  everything = cells.cells(study_config.resolve(made))
  (other,) = [cell for cell in everything if cell.seed == 1]
  todo = work.Work(study_config.resolve(made), place.Place(tmp_path))
  ended = todo.do(other, stand_in.Children(), {}, {})
  assert (ended.state, ended.why) == ("failed", "stopped: it diverges")
  assert not choose.is_settled(made, other, layout.record(tmp_path, other.name))


def test_a_chosen_cell_that_cannot_be_scored_fails_once_and_the_study_ends(tmp_path, monkeypatch):
  score, do, times = stand_in._score, work.Work.do, itertools.count()

  def counted(*given):
    assert next(times) < 50, "a cell is taken up without end"
    return do(*given)

  monkeypatch.setattr(stand_in, "_score", lambda c, w: 2 if c.name == "knn" else score(c, w))
  monkeypatch.setattr(work.Work, "do", counted)
  done = small.run_here(small.study(), tmp_path)
  assert done.failed == {
    f"batch={b},rate=0.3,seed={s}": "knn ended with code 2" for b in (64, 128) for s in (0, 1)
  }
  assert [name for *_, name in small.starts(tmp_path)].count("knn") == 4


@pytest.mark.parametrize(
  ("changes", "words"),
  [
    ({"changes": {"epochs": 3}}, "cell batch=64,rate=0.1,seed=0: epochs 9 -> 3"),
    ({"base": "shapes/quickstart:supervised"}, "seed=0: method.embedding_size 64 -> None"),
    ({"name": "other"}, "holds the study small, not other"),
    ({"choose": (), "line": "rate"}, "choice batch=128: choose rate -> "),
    ({"measure": "knn.h:top5"}, "choice batch=128: choose_by knn.h -> knn.h:top5"),
  ],
)
def test_a_study_that_was_changed_is_refused_with_what_differs(changes, words, root):
  outcome = small.outcome(root)
  with pytest.raises(errors.UserError) as refused:
    small.run_here(small.study(**changes), root)
  assert words in str(refused.value)
  assert small.outcome(root) == outcome


def test_another_evaluation_of_the_same_name_is_refused(root, monkeypatch):
  for path in root.glob("cells/*/eval/knn.json"):
    content = json.loads(path.read_text())
    content["config"]["knn"]["k"] = 7
    path.write_text(json.dumps(content))
  with pytest.raises(errors.UserError, match="evaluation knn: knn.k 7 -> "):
    agree.check(small.study(), root, cells.cells(small.study()))


def test_more_seeds_and_labels_are_no_change_and_a_choice_stands(tmp_path, lines):
  made = small.study()
  made.axes = {"batch": {"64": {"batch_size": 64}}, "rate": {"0.1": {"optimizer.base_lr": 0.1}}}
  small.run_here(made, tmp_path)
  made.axes = {
    "batch": study_config.each("batch_size", (64, 128)),
    "rate": study_config.each("optimizer.base_lr", (0.1, 0.3)),
  }
  made.seeds = (0, 1, 2)
  small.run_here(made, tmp_path)
  chosen = {name: choice["chosen"]["rate"] for name, choice in layout.choices(tmp_path).items()}
  assert chosen == {"batch=64": "0.1", "batch=128": "0.3"}
  (warning,) = [line for line in lines.messages if line.startswith("warning")]
  assert "with the cells of today it would be {'rate': '0.3'}" in warning
  tested = {path.parent.parent.name for path in tmp_path.glob("cells/batch=64,*/eval/knn.json")}
  assert tested == {f"batch=64,rate=0.1,seed={seed}" for seed in (0, 1, 2)}


def test_only_and_shard_take_parts_and_nothing_is_chosen_from_a_part_of_a_group(tmp_path):
  made = study_config.resolve(small.study())
  everything = cells.cells(made)
  some = selection.only(made, everything, ["rate=0.3", "seed=0,1"])
  assert [cell.labels["rate"] for cell in some] == ["0.3"] * 4
  done = small.run_here(made, tmp_path, some)
  assert done.undecided == ["batch=64", "batch=128"] and not layout.choices(tmp_path)
  done = small.run_here(made, tmp_path, selection.only(made, everything, ["rate=0.1"]))
  assert not done.undecided
  tested = {path.parent.parent.name for path in tmp_path.glob("cells/*/eval/knn.json")}
  assert tested == {cell.name for cell in some}, "chosen by whoever sees the last cell done"


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("chooses", [True, False])
def test_shards_are_disjoint_and_whole_and_keep_groups_together(count, chooses):
  made = small.study() if chooses else small.study(choose=(), line="rate")
  everything = cells.cells(made)
  parts = [selection.shard(made, everything, f"{i}/{count}") for i in range(count)]
  assert sorted(c.name for part in parts for c in part) == sorted(c.name for c in everything)
  groups = [{choose.group_of(made, cell) for cell in part} for part in parts]
  assert sum(map(len, groups)) == len(set().union(*groups))


@pytest.mark.parametrize(
  ("function", "word", "said"),
  [
    (selection.only, ["bach=64"], "did you mean batch?"),
    (selection.only, ["batch=65"], "axis batch has no label '65'; it has 64, 128"),
    (selection.only, ["batch"], "give AXIS=LABEL"),
    (selection.shard, "4/4", "give I/N with I from 0 to N - 1"),
    (selection.shard, "half", "give I/N"),
  ],
)
def test_a_part_that_there_is_not_is_refused(function, word, said):
  with pytest.raises(errors.UserError) as refused:
    function(small.study(), cells.cells(small.study()), word)
  assert said in str(refused.value)


def test_the_list_says_what_is_there_and_what_is_to_come(tmp_path):
  changes = {"data.shapes.num_train": 1280, "data.held_out": 128, "epochs": 2}
  made = study_config.resolve(small.study(changes=changes))
  everything = cells.cells(made)
  small.run_here(made, tmp_path, everything[:1])
  record = layout.record(tmp_path, everything[0].name)
  path = layout.cell(tmp_path, everything[0].name) / "cell.json"
  path.write_text(json.dumps(record | {"seconds": 30.0}))
  first, second, *_, last = listing.table(made, place.Place(tmp_path), everything).splitlines()[1:]
  assert first.split() == [everything[0].name, "done", "36", "2,304", "30", "s"]
  assert second.split()[1:] == ["-", "36", "2,304", "~30", "s"]
  assert last.startswith("8 cells, 7 to go: ") and last.endswith("about 4 min one after the other")


def test_a_dry_run_prints_the_commands_that_are_left(tmp_path):
  made = study_config.resolve(small.study())
  everything = cells.cells(made)
  small.run_here(made, tmp_path, everything[:4])
  lines = list(listing.dry_run(made, place.Place(tmp_path), everything))
  assert [line.split()[1] for line in lines if not line.startswith("#")] == ["train", "eval"] * 4
  assert all("batch=128" in line for line in lines if not line.startswith("# then"))
  assert lines[-1].endswith("contrastive_jax eval --config=eval/knn")


def test_a_search_gets_the_score_of_one_more_cell(tmp_path):
  made = small.study()
  for _ in range(2):
    found = search.run_cell(
      made, {"optimizer.base_lr": 0.25}, tmp_path, children=stand_in.Children()
    )
    assert found == pytest.approx(0.9 - 0.05 - 256 / 10_000)
  assert len(small.starts(tmp_path)) == 2
  changes = {"optimizer.base_lr": 0.2, "method.temperature": stand_in.DIVERGES}
  assert search.run_cell(made, changes, tmp_path, children=stand_in.Children()) == float("-inf")
  with pytest.raises(errors.UserError, match="it fails"):
    changes = {"method.temperature": stand_in.FAILS}
    search.run_cell(made, changes, tmp_path, children=stand_in.Children())


def test_optuna_finds_the_rate_through_that_seam(tmp_path):
  optuna = pytest.importorskip("optuna")

  def objective(trial):
    rate = trial.suggest_float("rate", 0.01, 1.0, log=True)
    temperature = trial.suggest_float("temperature", 0.4, 1.0)
    changes = {"optimizer.base_lr": rate, "method.temperature": temperature}
    return search.run_cell(small.study(), changes, tmp_path, children=stand_in.Children())

  sampler = optuna.samplers.TPESampler(seed=0)
  found = optuna.create_study(direction="maximize", sampler=sampler)
  found.optimize(objective, n_trials=12)
  assert found.best_value > 0.6
