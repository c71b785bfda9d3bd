"""The config of a study: what it takes, what it refuses, and the cells that it means."""

import json

import pytest
import small

from contrastive_jax import cli, config_files, errors
from contrastive_jax import config as config_lib
from contrastive_jax.cli import parse
from contrastive_jax.study import cells, commands, measure, questions
from contrastive_jax.study import config as study_config

EVERY = [
  f"{name}:{argument}" if argument else name
  for name in config_files.names(config_files.STUDIES)
  for argument in ("", *config_files.arguments(name))
]


def test_cells_are_all_combinations_in_the_order_of_axes_with_seeds_fastest():
  found = cells.cells(small.study())
  assert [cell.name for cell in found[:3]] == [
    "batch=64,rate=0.1,seed=0",
    "batch=64,rate=0.1,seed=1",
    "batch=64,rate=0.3,seed=0",
  ]
  assert len(found) == len({cell.name for cell in found}) == 8
  own = {"batch_size": 128, "optimizer.base_lr": 0.3, "seed": 1}
  assert found[-1].changes == cells.QUIET | own


def test_a_label_may_take_another_base_and_set_several_keys():
  made = small.study(changes={"epochs": 2})
  both = {"config": "cifar10/moco:cpu", "epochs": 3, "optimizer.base_lr": 0.2}
  made.axes = {"method": {"simclr": {}, "moco": both}}
  made.x, made.choose, made.seeds = "method", (), (0,)
  simclr, moco = map(cells.resolve, cells.cells(study_config.resolve(made)))
  assert (simclr.method.name, simclr.epochs) == ("simclr", 2)
  assert (moco.method.name, moco.epochs, moco.optimizer.base_lr) == ("moco", 3, 0.2)


def test_a_name_too_long_for_a_file_system_stays_a_name_of_its_own():
  axes = {f"axis{i}": "a-label-of-some-length" for i in range(12)}
  names = [cells.name_of(axes | {"axis11": label}, 0) for label in ("a", "b")]
  assert names[0] != names[1]
  assert max(map(len, names)) < 200


@pytest.mark.parametrize("spec", EVERY)
def test_every_study_that_comes_with_the_package_can_run(spec):
  """And the command of each cell means the cell's config, in the flags' own understanding."""
  made = study_config.resolve(config_files.load(spec, config_files.STUDIES))
  found = cells.cells(made)
  assert questions.on_test(made)
  assert not made.choose or questions.held_out(made)
  for cell in found[:: max(1, len(found) // 12)]:
    words = commands.train(small.ROOT, cell)
    asked = parse.parse(cli.COMMANDS[words[0]], words[1:]).config
    assert config_lib.to_json(asked) == config_lib.to_json(cells.resolve(cell))
    assert not asked.log.report, "the study has a page"


def test_what_flags_take_is_what_a_label_sets():
  changes = {
    "optimizer.milestones": (0.5, 1.0),
    "data.shapes.hue_range": (0.1, 0.2),
    "optimizer.lr_rules": ((".*bias", 0.5, True),),
    "data.host_size_px": 48,
    "log.views": False,
    "optimizer.base_lr": 1,
    "augment.normalize": "none",
  }
  made = small.study(changes=changes)
  cell = cells.cells(study_config.resolve(made))[0]
  words = commands.train(small.ROOT, cell)
  asked = parse.parse(cli.COMMANDS["train"], words[1:]).config
  assert config_lib.to_json(asked) == config_lib.to_json(cells.resolve(cell))


def test_its_json_keeps_the_order_of_axes_and_labels():
  made = json.loads(study_config.to_json(small.study()))
  assert list(made["axes"]) == ["batch", "rate"]
  assert list(made["axes"]["batch"]) == ["64", "128"]
  assert made["axes"]["rate"]["0.1"] == {"optimizer.base_lr": 0.1}


def test_flags_change_it_as_any_config(tmp_path):
  path = small.write(tmp_path)
  words = [f"--config={path}:0.2", "--config.seeds=3", "--config.evaluations=eval/knn"]
  made = study_config.resolve(parse.parse(cli.COMMANDS["study"], words).config)
  assert (made.seeds, made.evaluations) == ((3,), ("eval/knn",))
  assert [cell.name for cell in cells.cells(made)] == [
    "batch=64,rate=0.2,seed=3",
    "batch=128,rate=0.2,seed=3",
  ]


def test_every_run_may_be_changed_by_flags():
  words = ["data.source=npz", "data.npz.path=/a b/c=d.npz", "epochs=3", "log.views=false"]
  words += ["augment.hue=0.2"]
  made = study_config.resolve(study_config.with_changes(small.study(), words))
  for cell in cells.cells(made):
    config = cells.resolve(cell)
    assert (config.data.npz.path, config.epochs) == ("/a b/c=d.npz", 3)
    assert (config.log.views, config.augment.hue) == (False, 0.2)


MISTAKES = {
  "an axis that is not there": ({"x": "bach"}, "there is no axis bach; did you mean batch?"),
  "more choosing seeds than seeds": ({"choose_seeds": 3}, "choose_seeds 3: there are 2 seeds"),
  "an axis that is not shown": ({"choose": ()}, "axis rate has 2 labels and is not shown"),
  "an axis twice": ({"line": "rate"}, "an axis is named twice"),
  "a seed twice": ({"seeds": (1, 1)}, "repeat one"),
  "no seed": ({"seeds": ()}, "are none"),
  "a seed of an axis": ({"changes": {"seed": 3}}, "seed is set by seeds"),
  "an unknown figure": ({"measure": "nearest.h"}, 'figure "nearest.h" is no PROTOCOL.LAYER'),
  "an unknown field": ({"measure": "knn.h:top7"}, "top7 is none of top1"),
  "a choice by the log": ({"measure": "metric.loss"}, "choose_by metric.loss: what training logs"),
  "a folder in its name": ({"name": "a/b"}, 'name "a/b" is no file name'),
  "a slash in a label": (
    {"axes": {"batch": {"6/4": {}}, "rate": {"1": {}}}},
    'axis batch has the label "6/4"',
  ),
  "labels of one spelling": (
    {"axes": {"batch": {"a": {}, "A": {}}, "rate": {"1": {}}}},
    "axis batch has labels that differ in case alone",
  ),
  "one key of two axes": (
    {"axes": {"batch": {"1": {"epochs": 1}}, "rate": {"1": {"epochs": 2}}}},
    "axes batch and rate both set epochs",
  ),
  "no labels": ({"axes": {"batch": {}, "rate": {"1": {}}}}, "axis batch has no labels"),
  "an unknown way to draw": ({"show": "bars"}, 'show "bars" is none of lines, grid'),
  "an evaluation that is not there": ({"evaluations": ("eval/kn",)}, "did you mean eval/knn?"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_no_study_can_do_is_refused_in_one_line(mistake):
  changes, words = MISTAKES[mistake]
  with pytest.raises(errors.UserError) as refused:
    study_config.resolve(small.study(**changes))
  assert words in str(refused.value)
  assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
  ("changes", "words"),
  [
    ({"bach_size": 1}, "config has no key bach_size; did you mean batch_size?"),
    ({"batch_size": "many"}, "cell batch=64,rate=0.1,seed=0: batch_size 'many'"),
    ({"epochs": 0}, "epochs 0 is below 1"),
  ],
)
def test_a_cell_that_cannot_run_is_named(changes, words):
  made = small.study(axes={"batch": {"64": changes}, "rate": {"0.1": {}}})
  with pytest.raises(errors.UserError) as refused:
    cells.resolve(cells.cells(made)[0])
  assert words in str(refused.value)


@pytest.mark.parametrize("figure", ["knn.z", "linear_sgd.h", "knn.h.random_init", "other/knn.h"])
def test_a_figure_that_no_evaluation_has_is_refused(figure):
  with pytest.raises(errors.UserError) as refused:
    questions.on_test(small.study(measure=figure))
  assert f"figure {figure} is of none of the evaluations" in str(refused.value)


def test_what_chooses_is_on_the_images_of_the_run(tmp_path):
  path = tmp_path / "other.py"
  path.write_text(
    "from contrastive_jax.evaluation import config\n\n\ndef get_config():\n"
    "  c = config.evaluation('knn', name='other')\n  c.data.source = 'npz'\n  return c\n"
  )
  made = small.study(evaluations=(str(path), "eval/knn"))
  assert questions.held_out(made).spec == "eval/knn"
  with pytest.raises(errors.UserError, match="other/knn.h chooses, and its evaluation"):
    questions.held_out(small.study(evaluations=(str(path),), measure="other/knn.h"))


def test_figures_are_read_by_their_names():
  assert measure.parse("metric.loss") == measure.Metric("loss")
  assert measure.parse("knn.h") == measure.Score(None, "knn", "h", "checkpoint", "top1")
  found = measure.parse("far/linear_sgd.z.1.random_init:top5")
  assert found == measure.Score("far", "linear_sgd", "z.1", "random_init", "top5")
  record = {"protocol": "linear_sgd", "layer": "z.1", "encoder": "random_init", "top5": 0.5}
  assert measure.in_result(found, {"results": [record | {"layer": "z"}, record]}) == 0.5
  assert measure.in_result(found, {"results": []}) is None


def test_a_key_with_a_star_is_so_many_times_what_it_else_would_be():
  study = study_config.study("rates", base="cifar10/simclr:cpu")
  study.axes = {
    "method": {"simclr": {}, "siglip": {"config": "cifar10/siglip:cpu"}},
    "rate": study_config.each("*optimizer.base_lr", (1, 3)),
  }
  rates = [cells.resolve(cell).optimizer.base_lr for cell in cells.cells(study)]
  assert rates == pytest.approx([0.3, 0.9, 2e-3, 6e-3])
  study.axes = {"rate": study_config.each("*model.name", (3,))}
  with pytest.raises(errors.UserError, match="model.name is 'resnet8' in cifar10/simclr:cpu, no"):
    cells.cells(study)


def test_a_key_with_a_question_mark_is_left_out_where_the_base_lacks_it():
  study = study_config.study("scales", base="cifar10/simclr:cpu")
  study.axes = {
    "method": {"simclr": {}, "byol": {"config": "cifar10/byol:cpu"}},
    "temperature": study_config.each("?*method.temperature", (1, 2)),
  }
  study.x, study.choose = "method", ("temperature",)
  found = cells.cells(study_config.resolve(study))
  assert [cell.name for cell in found] == [
    "method=simclr,temperature=1,seed=0",
    "method=simclr,temperature=2,seed=0",
    "method=byol,temperature=1,seed=0",  # another label would be the same run
  ]
  temperatures = [cell.changes.get("method.temperature") for cell in found]
  assert temperatures == [pytest.approx(0.2), pytest.approx(0.4), None]


def test_labels_that_are_shown_keep_their_cells_also_where_runs_are_the_same():
  study = study_config.study("shown", base="cifar10/byol:cpu")
  study.axes = {"temperature": study_config.each("?method.temperature", (0.1, 0.2))}
  study.x = "temperature"
  assert len(cells.cells(study_config.resolve(study))) == 2


def test_a_key_with_a_plus_is_added_to_in_the_order_of_the_axes():
  study = study_config.study("pairs", base="cifar10/simclr:cpu")
  operations = {name: {"+augment.compose": (name,)} for name in ("crop", "color")}
  study.axes = {"first": operations, "then": operations}
  study.x, study.line = "then", "first"
  found = [cell.changes["augment.compose"] for cell in cells.cells(study_config.resolve(study))]
  assert found == [("crop", "crop"), ("crop", "color"), ("color", "crop"), ("color", "color")]
