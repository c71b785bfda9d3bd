"""The studies that come with the package: every cell of every size is a run that could begin."""

import itertools

import pytest

from contrastive_jax import config_files
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.study import cells, config

QUICK = "studies/quickstart"  # of the built-in images, with sizes of its own
NAMES = [name for name in config_files.names(config_files.STUDIES) if name != QUICK]
SIZES = ("cpu", "gpu", "paper")


def load(name, size):
  return config.resolve(config_files.load(f"{name}:{size}", config_files.STUDIES))


@pytest.mark.parametrize(
  "name, size", [*itertools.product(NAMES, SIZES), (QUICK, "quickstart"), (QUICK, "tiny")]
)
def test_every_cell_is_a_run_and_every_figure_is_measured(name, size):
  study = load(name, size)
  found = cells.cells(study)
  assert len({cell.name for cell in found}) == len(found)
  for cell in found[:: len(study.seeds)]:
    cells.resolve(cell)
  asked = [config_files.load(e, config_files.EVALUATIONS) for e in study.evaluations]
  for evaluation in asked:
    eval_config.resolve(evaluation)
  assert len({evaluation.name for evaluation in asked}) == len(asked)


@pytest.mark.parametrize("name", NAMES)
def test_published_figures_are_of_cells_and_have_a_source(name):
  study = load(name, "paper")
  for row in study.published:
    labels = {k: v for k, v in row.items() if k not in ("value", "source")}
    assert row["source"] and 0 < row["value"] < 100
    assert all(label in study.axes[axis] for axis, label in labels.items()), labels


@pytest.mark.parametrize("name", NAMES)
def test_a_size_that_there_is_not_is_named(name):
  with pytest.raises(Exception, match='"tiny-weeny"'):
    config_files.load(f"{name}:tiny-weeny", config_files.STUDIES)
