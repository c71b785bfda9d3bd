"""A run in a bucket: what is committed, what counts, and what another machine makes of it.

A "machine" is a cache folder of its own.
"""

import contextlib
import errno
import fcntl
import json
import pathlib
import shutil
import types

import damage
import jax
import pytest
import states
from bucket_servers import on_s3_slowly as pytest_generate_tests  # noqa: F401

from contrastive_jax import errors, paths
from contrastive_jax.buckets import lease, mirror, objects, reads, steps
from contrastive_jax.buckets.address import Address
from contrastive_jax.workdir import bucket, checkpoint, together

ITEMS = ("model", "training")


@pytest.fixture
def on(server, monkeypatch, tmp_path, caplog):
  """A context of a run on a machine of a name."""
  caplog.set_level("INFO", "contrastive_jax")

  @contextlib.contextmanager
  def running(machine):
    monkeypatch.setenv(paths.CACHE, str(tmp_path / machine))
    with bucket.here(server.address("run")) as (folder, found):
      yield pathlib.Path(folder), found

  return running


def save(folder, found, *seeds, **options):
  damage.save(folder, *map(states.state, seeds), mirror=found, **options)


def restored(folder, found, **options):
  return damage.restore(folder, states.state(1), mirror=found, **options)


def of_step(server, step):
  return sorted(n for n in server.objects() if n.startswith(f"run/checkpoints/{step}/"))


def test_another_machine_goes_on_with_the_same_state_and_metrics(on, server):
  with on("first") as (folder, found):
    (folder / "metrics.jsonl").write_text('{"step": 1}\n{"step": 2}\n')
    (folder / "tensorboard").mkdir()
    (folder / "tensorboard" / "events.1").write_bytes(b"events\r")
    found.stamped(write(folder / "config.json", "{}"))
    save(folder, found, 1, 2)
    with (folder / "metrics.jsonl").open("a") as file:
      file.write('{"step": 3}\n')
  assert server.objects()["run/tensorboard/events.1"] == b"events\r"
  with on("second") as (folder, found):
    assert (folder / "config.json").read_text() == "{}"
    assert (folder / "metrics.jsonl").read_text().count("\n") == 3
    assert damage.same(jax.device_get(restored(folder, found)), jax.device_get(states.state(2)))


def write(path, text):
  path.write_text(text)
  return path


def test_what_gsutil_copies_is_a_workdir(on, server, tmp_path):
  with on("first") as (folder, found):
    save(folder, found, 1)
  for name, content in server.objects().items():
    path = tmp_path / "copy" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
  assert int(damage.restore(tmp_path / "copy" / "run", states.state(1)).step) == 1


def test_a_step_without_marker_does_not_count_and_is_removed(on, server, caplog):
  with on("first") as (folder, found):
    save(folder, found, 1, 2)
  server.delete("run/checkpoints/2.committed")
  for users in ("run/notes.txt", "run/checkpoints/mine/2", "run2/checkpoints/3/manifest.json"):
    place, _, name = users.partition("/")
    objects.Objects(Address(server.kind, "test-bucket", place)).put(name, b"mine")
  with on("second") as (folder, found):
    assert "checkpoint 2" in caplog.text and "is not committed (no" in caplog.text
    assert int(restored(folder, found).step) == 1
    assert of_step(server, 2) == []
    save(folder, found, 2)
  assert "run/checkpoints/2.committed" in server.objects()
  for users in ("run/notes.txt", "run/checkpoints/mine/2", "run2/checkpoints/3/manifest.json"):
    assert server.objects()[users] == b"mine"


@pytest.mark.parametrize(
  "kind, of",
  [
    ("bit", "/model.safetensors"),
    ("delete", "/training.safetensors"),
    ("truncate", "manifest.json"),
    ("bit", ".committed"),
    ("truncate", ".committed"),
  ],
)
def test_a_damaged_object_is_told_and_the_step_before_is_taken(on, server, capfd, caplog, kind, of):
  with on("first") as (folder, found):
    save(folder, found, 1, 2)
  names = [n for n in server.objects() if n.startswith("run/checkpoints/2") and of in n]
  name = max(names, key=lambda n: len(server.objects()[n]))
  content = bytearray(server.objects()[name])
  if kind == "delete":
    server.delete(name)
  else:
    content[len(content) // 2] ^= 1
    server.put(name, bytes(content[: len(content) // 2] if kind == "truncate" else content))
  with on("second") as (folder, found):
    assert damage.same(jax.device_get(restored(folder, found)), jax.device_get(states.state(1)))
    assert "checkpoint 2" in capfd.readouterr().err + caplog.text
    save(folder, found, 2)
  with on("third") as (folder, found):
    assert damage.same(jax.device_get(restored(folder, found)), jax.device_get(states.state(2)))


def test_when_all_are_damaged_only_restart_starts_over(on, server):
  with on("first") as (folder, found):
    save(folder, found, 1)
  server.put(of_step(server, 1)[0], b"")
  for machine in ("second", "third"):  # also where it has been set aside already
    with pytest.raises(errors.UserError, match=f"in {server.kind}://.*is intact"):
      with on(machine) as (folder, found):
        restored(folder, found)
  assert json.loads(server.objects()["run/checkpoints/1.damaged"])["problem"]
  with on("fourth") as (folder, found):
    assert restored(folder, found, restart=True) is None


def refuse_after(server, count, status=403):
  """Lets so many writings through."""
  seen = []

  def before(method, path):
    if method in ("PUT", "POST"):
      seen.append(path)
      return status if len(seen) > count else None
    return None

  server.before = before


@pytest.mark.parametrize("count", [0, 2])
def test_a_save_that_fails_half_way_is_completed_by_the_next_start_here(on, server, caplog, count):
  with on("first") as (folder, found):
    save(folder, found, 1)
    refuse_after(server, count)
    with pytest.raises(errors.SaveFailed, match="checkpoint 2 in .* cannot be written"):
      save(folder, found, 2)
    server.before = lambda *_: None
  assert "run/checkpoints/2.committed" not in server.objects()
  with on("first") as (folder, found):
    assert "checkpoint 2 was saved here and is not yet in" in caplog.text
    assert "run/checkpoints/2.committed" in server.objects()
    assert int(restored(folder, found).step) == 2
  with on("second") as (folder, found):
    assert damage.same(jax.device_get(restored(folder, found)), jax.device_get(states.state(2)))


def test_after_a_failed_save_the_history_of_another_machine_counts(on, server, caplog):
  with on("first") as (folder, found):
    save(folder, found, 1)
    (folder / "metrics.jsonl").write_text('{"step": 2, "of": "first"}\n')
    refuse_after(server, 0)
    with pytest.raises(errors.SaveFailed):
      save(folder, found, 2)
    server.before = lambda *_: None
  with on("second") as (folder, found):
    assert int(restored(folder, found).step) == 1
    (folder / "metrics.jsonl").write_text('{"step": 3, "of": "second"}\n')
    save(folder, found, 3)
  with on("first") as (folder, found):
    assert "is dropped" in caplog.text
    assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == ["1", "3"]
    assert "second" in (folder / "metrics.jsonl").read_text()
    assert damage.same(jax.device_get(restored(folder, found)), jax.device_get(states.state(3)))


def test_a_start_that_was_killed_before_it_was_in_line_makes_nothing_of_its_folder_count(
  on, server, monkeypatch
):
  """The folder has an older history, and the lease was its own last."""
  with on("first") as (folder, found):
    save(folder, found, 1)
    refuse_after(server, 0)
    with pytest.raises(errors.SaveFailed):
      save(folder, found, 2)
    server.before = lambda *_: None
  with on("second") as (folder, found):
    save(folder, found, 3)
  with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
    patch.setattr(mirror.Mirror, "align", _interrupted)
    with on("first"):
      pass
  with on("first") as (folder, found):
    assert steps.marked(n.removeprefix("run/") for n in server.objects()) == [1, 3]
    assert int(restored(folder, found).step) == 3


def _interrupted(*_):
  raise KeyboardInterrupt


def test_where_there_are_no_locks_a_run_of_this_folder_is_not_taken_for_gone(
  on, server, monkeypatch, capfd
):
  def refuse(*_):
    raise OSError(errno.ENOLCK, "No locks available")

  monkeypatch.setattr(fcntl, "flock", refuse)
  with on("first"):
    with pytest.raises(errors.UserError, match="is in use by process"):
      with on("first"):
        pass


def test_what_was_removed_from_the_bucket_does_not_come_back(on, server):
  with on("first") as (folder, found):
    save(folder, found, 1, 2)
  for name in of_step(server, 2) + ["run/checkpoints/2.committed"]:
    server.delete(name)
  with on("first") as (folder, found):
    assert int(restored(folder, found).step) == 1
  assert of_step(server, 2) == []


def test_what_is_pruned_loses_its_marker_first(on, server):
  with on("first") as (folder, found):
    save(folder, found, 1, 2)
    server.requests.clear()
    save(folder, found, 3, keep=2, keep_best=0)
    gone = [path for method, path in server.requests if method == "DELETE"]
  gone = [path for path in gone if "1.committed" in path or "1%2F" in path or "/1/" in path]
  assert "1.committed" in gone[0] and len(gone) > 2
  assert of_step(server, 1) == [] and of_step(server, 3)
  assert steps.marked(n.removeprefix("run/") for n in server.objects()) == [2, 3]


def test_a_run_that_lost_its_lease_writes_nothing_more(on, server):
  with pytest.raises(errors.SaveFailed, match="taken over by process 7 on other"):
    with on("first") as (folder, found):
      save(folder, found, 1)
      objects_of_run = objects.Objects(found._objects.address)
      other = {"process": 7, "host": "other", "folder": "another", "lasts_s": 0.1}
      objects_of_run.put("lease/00000002.json", json.dumps(other).encode())
      found._lease._renew()
      before = server.objects().keys()
      (folder / "metrics.jsonl").write_text("{}\n")
      with pytest.raises(errors.SaveFailed, match="taken over"):
        save(folder, found, 2)
      checkpoints = checkpoint.Checkpoints(str(folder), mirror=found)
      try:
        checkpoints.poll()
      finally:
        checkpoints.close()
        assert server.objects().keys() == before


def test_each_process_puts_its_part_and_the_marker_names_all(on, server, tmp_path):
  written = tmp_path / "2.tmp"
  theirs = written / "parts" / "1" / "model.safetensors"
  theirs.parent.mkdir(parents=True)
  theirs.write_bytes(b"of process 1")
  with on("first") as (folder, found):
    there = found.part_written(2, written, 1)
    assert "run/checkpoints/2.committed" not in server.objects()
    own = folder / "checkpoints" / "2"
    own.mkdir(parents=True)
    (own / "manifest.json").write_text("{}")
    found.commit(2, there)
    marker = steps.read(2, server.objects()["run/checkpoints/2.committed"])
    assert set(marker) == {"parts/1/model.safetensors", "manifest.json"}
    assert server.objects()["run/checkpoints/2/parts/1/model.safetensors"] == b"of process 1"
    theirs.write_bytes(b"of another run")
    with pytest.raises(errors.SaveFailed, match="was committed by another run meanwhile"):
      found.part_written(2, written, 1)
    assert server.objects()["run/checkpoints/2/parts/1/model.safetensors"] == b"of process 1"


def test_a_save_commits_what_the_others_put_and_reads_none_of_it_here(on, server, monkeypatch):
  def save_of_all(self, what, write, end):
    written = write()
    shutil.rmtree(root / "2.tmp" / "parts")  # of another host, by now in the bucket
    end(json.loads(json.dumps(written)))

  state = states.state(2)
  with on("first") as (folder, found), monkeypatch.context() as patch:
    root = folder / "checkpoints"
    patch.setattr(together.Together, "save", save_of_all)
    fake = types.SimpleNamespace(process_count=lambda: 2, process_index=lambda: 0)
    patch.setattr(checkpoint, "jax", fake)
    save(folder, found, 2)
  marker = steps.read(2, server.objects()["run/checkpoints/2.committed"])
  assert set(marker) == {"manifest.json", *(f"parts/0/{name}.safetensors" for name in ITEMS)}
  with on("second") as (folder, found):
    assert damage.same(restored(folder, found), state)


@pytest.mark.parametrize("machine", ["first", "second"])
def test_a_second_run_gets_one_line(on, server, machine):
  with on("first"):
    with pytest.raises(errors.UserError, match=f"workdir {server.kind}://.* is in use by process"):
      with on(machine):
        pass


@pytest.mark.parametrize("failure", [MemoryError, KeyboardInterrupt])
def test_what_ends_a_save_half_way_commits_nothing(on, server, monkeypatch, failure):
  described = objects.described

  def fails(path):
    if path.name == "training.safetensors":
      raise failure
    return described(path)

  with on("first") as (folder, found):
    save(folder, found, 1)
    monkeypatch.setattr(objects, "described", fails)
    with pytest.raises((errors.SaveFailed, KeyboardInterrupt)):
      save(folder, found, 2)
    monkeypatch.setattr(objects, "described", described)
  assert "run/checkpoints/2.committed" not in server.objects()
  with on("second") as (folder, found):
    assert int(restored(folder, found).step) == 1


def test_evaluation_reads_weights_alone_and_disturbs_no_run(on, server, capfd):
  with on("first") as (folder, found):
    found.stamped(write(folder / "config.json", "{}"))
    save(folder, found, 1, 2)
    server.requests.clear()
    with reads.read_only(found._objects.address) as (copy, fetch):
      assert fetch(2) is None
      tree = checkpoint.state_files.read_model(copy / "checkpoints" / "2", 2)
    assert damage.same(tree["params"], jax.device_get(states.state(2).params))
    assert not any("training" in path for method, path in server.requests if "download" in path)
    assert not copy.exists() and found._lease is not None
    found._lease.check()


@pytest.mark.slow
def test_a_server_that_is_away_in_a_save_is_waited_for(on, server, monkeypatch):
  monkeypatch.setattr(objects, "PAUSES_S", (0.5,) * 30)
  monkeypatch.setattr(lease, "LASTS_S", 60.0)
  with on("first") as (folder, found):
    save(folder, found, 1)
    with server.away(3.0):
      save(folder, found, 2)
  with on("second") as (folder, found):
    assert int(restored(folder, found).step) == 2
