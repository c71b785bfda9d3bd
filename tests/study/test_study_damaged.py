"""Files of a study that another hand wrote: named in one line, done again, or shown as missing."""

import json
import logging
import os
import shutil

import pytest
import small
import stand_in

from contrastive_jax import errors
from contrastive_jax.study import cells, collect, layout, summary

CELL = "batch=64,rate=0.3,seed=0"
FILES = (
  *("study.json", "choices/batch=64.json", f"cells/{CELL}/cell.json"),
  *(f"cells/{CELL}/{name}" for name in ("config.json", "versions.json", "metrics.jsonl")),
  *(f"cells/{CELL}/eval/{name}.json" for name in ("knn", "held_out")),
)
CONTENTS = ("[]", "{}")


@pytest.fixture(autouse=True)
def quick(monkeypatch, caplog):
  monkeypatch.setattr("contrastive_jax.study.runner._POLL_S", 0.001)
  monkeypatch.setattr(stand_in, "PAUSE_S", 0)
  caplog.set_level(logging.CRITICAL, "contrastive_jax")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  root = tmp_path_factory.mktemp("finished")
  small.run_here(small.study(), root)
  return root


def go_on(root):
  """Runs what is left, and reads all cells as a report does; returns what is said, if anything."""
  made = small.study()
  everything = cells.cells(made)
  read = {c.name: collect.read(layout.cell(root, c.name)) for c in everything}
  summary.rows(everything, read, ["knn.h", "metric.loss"], {c.name for c in everything})
  try:
    small.run_here(made, root)
  except errors.UserError as error:
    return str(error)
  return ""


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named_or_written_anew(finished, tmp_path, name):
  for number, content in enumerate(CONTENTS):
    root = shutil.copytree(finished, tmp_path / str(number))
    (root / name).write_text(content)
    told = go_on(root)
    assert "\n" not in told and (not told or os.path.basename(name) in told), content


VALUES = {
  f"cells/{CELL}/cell.json": {"seconds": "x", "scored": None, "state": 3, "step": "4"},
  "choices/batch=64.json": {"chosen": "0.3", "by": None},
  f"cells/{CELL}/eval/knn.json": {"checkpoint_step": [4], "config": 3, "results": {}},
  f"cells/{CELL}/eval/held_out.json": {"results": [3, {"protocol": "knn"}], "config": []},
}


@pytest.mark.parametrize(
  ("name", "key", "odd"), [(name, *item) for name, odd in VALUES.items() for item in odd.items()]
)
def test_a_value_of_another_kind_is_named_or_passed_over(finished, tmp_path, name, key, odd):
  root = shutil.copytree(finished, tmp_path / "root")
  found = json.loads((root / name).read_text())
  (root / name).write_text(json.dumps(found | {key: odd}))
  told = go_on(root)
  assert "\n" not in told and (not told or os.path.basename(name) in told)


@pytest.mark.parametrize(
  ("name", "kind"),
  [("study.json", "folder"), ("cells", "file"), (f"cells/{CELL}", "file"), ("choices", "file")],
)
def test_what_is_in_the_way_of_a_study_is_named(tmp_path, name, kind):
  (tmp_path / name).parent.mkdir(exist_ok=True)
  (tmp_path / name).mkdir() if kind == "folder" else (tmp_path / name).write_text("mine")
  with pytest.raises(errors.UserError, match=name.split("/")[0]):
    small.run_here(small.study(), tmp_path)
