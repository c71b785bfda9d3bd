"""A study whose folder is in a bucket, on machines that share nothing else.

Its commands are stood in for: what they leave they leave in the bucket.
"""

import json
import pathlib
import tempfile

import commands
import pytest
import small
import stand_in
from bucket_servers import on_s3_slowly as pytest_generate_tests  # noqa: F401

from contrastive_jax import errors
from contrastive_jax.buckets.address import parsed
from contrastive_jax.buckets.lease import Lease
from contrastive_jax.study import agree, bucket, layout, report, runner, selection
from contrastive_jax.study import cells as cells_lib
from contrastive_jax.study import config as study_config


class Children(stand_in.Children):
  """Runs a command in a folder that has what the bucket has, and puts there what it leaves."""

  def __init__(self, server):
    self.server, self.started = server, []

  def run(self, words, log, held, extra):
    (place,) = [word for word in words if word.startswith("--workdir=")]
    prefix = place.removeprefix(f"--workdir={self.server.address('')}")
    self.started.append((words[0], prefix.rpartition("/")[2]))
    with tempfile.TemporaryDirectory() as folder:
      here = pathlib.Path(folder) / "cells" / "cell"
      here.mkdir(parents=True)
      for name, content in self.server.objects().items():
        if name.startswith(f"{prefix}/") and not name.endswith((".committed", ".log")):
          path = here / name.removeprefix(f"{prefix}/")
          path.parent.mkdir(parents=True, exist_ok=True)
          path.write_bytes(content)
      words = [f"--workdir={here}" if word == place else word for word in words]
      code = super().run(words, log, held, extra)
      objects = bucket.Objects(parsed(self.server.address(prefix), "workdir"))
      for path in here.rglob("*"):
        name = path.relative_to(here).as_posix()
        if path.is_file():
          objects.put(name, path.read_bytes())
        elif path.parent.name == "checkpoints":
          objects.put(f"{name}.committed", b"")
    return code


@pytest.fixture
def study_here(server, monkeypatch):
  """Runs a study, or one seed, as a machine that has nothing yet; returns its runner."""
  monkeypatch.setattr("contrastive_jax.study.runner._WAIT_S", 0.01)
  monkeypatch.setattr(stand_in, "PAUSE_S", 0)

  def run(made, seed=None, children=None):
    made = study_config.resolve(made)
    everything = cells_lib.cells(made)
    selected = selection.only(made, everything, [f"seed={seed}"] if seed else [])
    with bucket.place(server.address("study"), writes=True) as place:
      agree.check(made, place.root, everything)
      done = runner.Runner(made, place, selected, children or Children(server))
      done.run()
      place.look(curves=True)
      place.keep(*report.write(made, everything, place.root))
    return done

  return run


def outcome(server):
  """As `small.outcome`, of a bucket."""
  found = {}
  for name, content in sorted(server.objects().items()):
    short = name.removeprefix("study/")
    if short.endswith("/cell.json"):
      record = json.loads(content)
      found[short.split("/")[1]] = [record["state"], record["step"], sorted(record["scored"])]
    elif short.endswith(".json") and ("/eval/" in short or short.startswith("choices/")):
      found[short] = json.loads(content)
  return found


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
  root = tmp_path_factory.mktemp("on_disk")
  small.run_here(small.study(), root)
  return small.outcome(root)


def test_parts_on_machines_of_their_own_end_as_one_on_a_disk(study_here, server, on_disk):
  first, second = Children(server), Children(server)
  assert study_here(small.study(), "0", first).undecided
  assert not study_here(small.study(), "1", second).undecided
  study_here(small.study(), "0", first)
  assert outcome(server) == on_disk
  trained = [cell for command, cell in first.started + second.started if command == "train"]
  assert len(trained) == len(set(trained)) == 8, "none by two"
  table = server.objects()["study/report/table.csv"].decode()
  assert table.count(",done,") == 16, "of the cells of both: held out, and on test images"


@pytest.mark.s3_thorough
def test_what_is_done_is_not_done_again_by_another_machine(study_here, server):
  made = small.study(choose=(), line="rate")
  study_here(made)
  again = Children(server)
  study_here(made, children=again)
  assert not again.started


def test_a_log_is_written_on_and_a_failure_is_told(study_here, server):
  made = small.study(seeds=(0,), choose=(), line="rate")
  made.changes = {"method.temperature": stand_in.FAILS}
  failed = study_here(made).failed
  assert set(failed.values()) == {"error: it fails"} and len(failed) == 4
  study_here(made)
  name = f"study/cells/{min(failed)}/output.log"
  assert server.objects()[name].decode().count("$ contrastive_jax train") == 2


def test_a_cell_that_another_machine_has_is_waited_for(study_here, server, caplog):
  caplog.set_level("INFO", "contrastive_jax")
  made = small.study(seeds=(0,), choose=(), line="rate")
  name = cells_lib.cells(study_config.resolve(made))[0].name
  other = Lease(parsed(server.address(f"study/locks/{name}"), "workdir"), "of another")
  other.claim()

  class Releases(Children):
    def run(self, *args):
      other.release()
      return super().run(*args)

  assert not study_here(made, children=Releases(server)).failed
  assert f"{name}: under way elsewhere, by process" in caplog.text
  assert json.loads(server.objects()[f"study/cells/{name}/cell.json"])["state"] == layout.DONE


def test_a_choice_is_the_first_of_two_machines(server):
  path = pathlib.Path("choices/a.json")
  with bucket.place(server.address("study"), True) as one:
    with bucket.place(server.address("study"), True) as two:
      one.write_first(one.root / path, '{"chosen": {"rate": "1"}, "by": "knn.h"}')
      two.write_first(two.root / path, '{"chosen": {"rate": "2"}, "by": "knn.h"}')
      for place in (one, two):
        assert layout.choices(place.root)["a"]["chosen"] == {"rate": "1"}


def test_the_command_names_the_bucket_and_makes_none(server, capfd):
  words = ["--config=studies/quickstart:tiny", f"--workdir={server.address('study')}"]
  commands.run("study", [*words, "--dry_run"])
  out = capfd.readouterr().out
  assert f"--workdir={server.address('study/cells/')}" in out
  assert not server.objects(), "it only looks"
  missing = words[1].replace("test-bucket", "tset-bucket")
  with pytest.raises(errors.UserError, match="there is no bucket tset-bucket"):
    with bucket.place(missing.removeprefix("--workdir="), writes=True):
      pass


def test_another_study_is_refused_by_the_name_of_the_bucket(study_here, server):
  study_here(small.study(seeds=(0,), choose=(), line="rate"))
  other = small.study(seeds=(0,), choose=(), line="rate", name="other")
  with pytest.raises(errors.UserError, match=f"{server.address('study')} holds the study small"):
    study_here(other)
