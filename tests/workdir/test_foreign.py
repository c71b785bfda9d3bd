"""What is not a run's own in its workdir is left alone, or named before anything is done."""

import os

import pytest
import states
from damage import restore, same, save

from contrastive_jax import checkpoint_names, config, errors, reading
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.workdir import loading

KEPT = (
  *("notes.tmp", "metrics.tmp", "x.tmp/a", "checkpoints/my.tmpdir/a", "checkpoints/notes.tmp/a"),
  *("checkpoints/007/a", "checkpoints/²/a", "checkpoints/٣/a", "checkpoints/1.5/a"),
  *(
    "checkpoints/4.tmpfoo",
    "checkpoints/x.damaged",
    "checkpoints/99999999999/a",
    "checkpoints/5/a",
  ),
)


@pytest.fixture
def workdir(tmp_path):
  """A run with the checkpoints 1 and 2."""
  workdir_lib.stamp(str(tmp_path), config.pretrain())
  save(tmp_path, states.state(1), states.state(2))
  return tmp_path


def start(workdir):
  """As a run starts."""
  workdir_lib.check(str(workdir), config.pretrain())
  workdir_lib.make(str(workdir))
  restored = restore(workdir, states.state(0))
  workdir_lib.stamp(str(workdir), config.pretrain())
  return restored


def write(path):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text("mine")


@pytest.mark.parametrize("name", KEPT)
def test_what_the_user_keeps_there_is_kept(workdir, name):
  write(workdir / name)
  start(workdir)
  save(workdir, *(states.state(step) for step in (8, 9, 10)), keep=1, keep_best=0)
  # A folder that is named as a step is taken for one whose manifest is lost, and set aside.
  place = name.replace("checkpoints/5/", "checkpoints/5.damaged/")
  assert (workdir / place).read_text() == "mine"
  assert loading.saved_steps(str(workdir)) == [10]


def test_a_link_in_the_place_of_a_checkpoint_is_read_and_what_it_leads_to_is_kept(
  workdir, tmp_path_factory
):
  moved = tmp_path_factory.mktemp("disk") / "two"
  os.rename(workdir / "checkpoints" / "2", moved)
  (workdir / "checkpoints" / "2").symlink_to(moved)
  assert same(start(workdir), states.state(2))
  save(workdir, states.state(8), states.state(9), keep=1, keep_best=0)
  assert (moved / "manifest.json").exists()


FILES = (
  *("config.json", "data.json", "versions.json", "metrics.jsonl", "metrics.jsonl.tmp", "lock"),
  *("config.json.tmp", "unreadable.txt", "views.png"),
)
FOLDERS = (
  *("checkpoints", "checkpoints/7", "checkpoints/7.damaged", "checkpoints/7.tmp"),
  "tensorboard",
)


@pytest.mark.parametrize(
  ("name", "kind"),
  [
    *((name, kind) for name in FILES for kind in ("folder", "pipe", "dangling", "loop")),
    *((name, kind) for name in FOLDERS for kind in ("file", "pipe", "dangling", "loop")),
  ],
)
def test_what_is_in_the_way_is_named_and_nothing_is_written(tmp_path, name, kind):
  path = tmp_path / name
  path.parent.mkdir(exist_ok=True)
  if kind == "folder":
    path.mkdir()
  elif kind == "file":
    path.write_text("mine")
  elif kind == "pipe":
    os.mkfifo(path)
  else:
    path.symlink_to(path if kind == "loop" else tmp_path / "gone")
  before, c = sorted(os.listdir(tmp_path)), config.pretrain()
  c.log.views = c.log.tensorboard = True
  with pytest.raises(errors.UserError, match=f"{path} is in the way: .* give another --workdir"):
    workdir_lib.check(str(tmp_path), c)
  assert sorted(os.listdir(tmp_path)) == before


def test_what_a_run_does_not_write_is_not_in_its_way(tmp_path):
  c = config.pretrain()
  c.log.views = c.log.tensorboard = False
  (tmp_path / "views.png").mkdir()
  write(tmp_path / "tensorboard")
  workdir_lib.check(str(tmp_path), c)
  c.log.views = True
  with pytest.raises(errors.UserError, match="views.png is in the way"):
    workdir_lib.check(str(tmp_path), c)


@pytest.mark.parametrize("name", ["photo", "model_notes.txt", "training.py", "manifest.json.mine"])
def test_a_folder_of_the_users_where_a_checkpoint_is_to_be_written_is_named(workdir, name):
  write(workdir / "checkpoints" / "7.tmp" / name)
  with pytest.raises(errors.UserError, match="7.tmp is in the way"):
    start(workdir)
  assert (workdir / "checkpoints" / "7.tmp" / name).exists()


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_an_evaluation_does_not_wait_for_what_is_no_file(workdir, monkeypatch, kind):
  (workdir / "config.json").unlink()
  (os.mkdir if kind == "folder" else os.mkfifo)(workdir / "config.json")
  monkeypatch.setattr(reading, "PAUSES_S", ())
  with pytest.raises(errors.UserError, match="config.json is no file"):
    loading.load_run(str(workdir))


def test_names_are_steps_as_a_run_writes_them():
  assert checkpoint_names.set_aside(1, names := ["1.damaged", "1.damaged.2"]) == "1.damaged.3"
  assert checkpoint_names.damaged([*names, "1.damaged.x"]) == names
  names = ["0", "12", "007", "²", "٣", "5\n", "1.damaged", "x.damaged", "2.tmp", "3.tmp.x", "trial"]
  assert checkpoint_names.steps(names) == [0, 12]
  assert checkpoint_names.damaged(names) == ["1.damaged"]
  assert checkpoint_names.leftovers([*names, "trial.tmp"]) == ["2.tmp", "trial.tmp"]
  assert not checkpoint_names.any_saved(["007", "notes", "2.tmp"])
