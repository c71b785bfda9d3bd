"""Worker processes decode, run nothing of the script that started them, and end with it."""

import os
import signal
import subprocess
import sys

import five_images
import left_over
import pytest
from conftest import REPOSITORY

from contrastive_jax import errors
from contrastive_jax.data import pipeline

# Without a main guard, and with a source of its own.
SCRIPT = """
import numpy as np
from contrastive_jax.data import pipeline

print("begun", flush=True)


class Images:
  num_classes, label_names, factors, native_size_px = 0, (), {}, 2

  def __len__(self):
    return 5

  def __getitem__(self, index):
    return {"image": np.full((2, 2, 3), index, np.uint8), "label": -1, "index": index}


batches = pipeline.eval_batches(Images(), batch_size=2, cache="none", num_workers=2)
"""
READ = """
print([batch["index"].tolist() for batch in batches], flush=True)
print("jax" in __import__("sys").modules)
"""


def python(*command, given="", environment=()):
  return subprocess.Popen(
    [sys.executable, *command],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | dict(environment),
    text=True,
  )


@pytest.mark.parametrize("given", ["file", "stdin"])
def test_a_script_without_a_main_guard_may_have_workers(given, tmp_path):
  script = tmp_path / "script.py"
  script.write_text(SCRIPT + READ)
  process = python(str(script) if given == "file" else "-")
  out, err = process.communicate(SCRIPT + READ if given == "stdin" else "", timeout=300)
  assert out == "begun\n[[0, 1], [2, 3], [4, -1]]\nFalse\n", err
  assert not err, "nothing is left to a tracker of Python's"


KILLED = "os.kill(os.getpid(), 9)"
ENDS = {
  "SIGKILL": KILLED,
  "70": "os._exit(70)",
  "74": "sys.exit(74)",
  "76": "os._exit(76)",
  "an exception": "raise ValueError",
  "SIGKILL, and an image never comes": KILLED,
}
BEGIN = """
import os, sys, threading, time
if {hangs}:
  Images.__getitem__ = lambda self, index: time.sleep(1000)
iterator = iter(batches)
first = threading.Thread(target=next, args=(iterator,), daemon=True)
first.start()
if not {hangs}:
  first.join()
input()
"""


@left_over.on_linux
@pytest.mark.parametrize("end", ENDS)
def test_no_worker_outlives_a_run_however_it_ends(end):
  watched = left_over.Watched()
  script = SCRIPT + BEGIN.format(hangs="never" in end) + ENDS[end]
  process = python("-c", script, environment=watched.environment)
  assert process.stdout.readline() == "begun\n"
  while len(watched.processes()) < 3:
    assert process.poll() is None, process.stderr.read()
  watched.look()
  process.communicate("\n", timeout=300)  # workers hold its stderr: this ends with the last of them
  assert watched.left() == ([], [])


def batches(then=None):
  return pipeline.eval_batches(five_images.Images(then), batch_size=2, cache="none", num_workers=2)


@left_over.on_linux
def test_an_error_of_a_worker_is_raised_here_with_its_trace_and_leaves_none():
  with pytest.raises(errors.UserError, match="too bad; take another") as told:
    list(batches(five_images.refuse))
  assert "in refuse" in told.value.__notes__[0]
  assert not left_over.children()


def test_an_error_that_cannot_travel_is_told_in_words():
  with pytest.raises(RuntimeError, match="Odd: cannot be pickled"):
    list(batches(five_images.raise_odd))


@left_over.on_linux
def test_a_worker_that_dies_is_named_and_the_run_may_start_again():
  with pytest.raises(errors.ReadFailed, match="decodes images, was killed by SIGKILL; if the host"):
    list(batches(five_images.die))
  assert not left_over.children()


@left_over.on_linux
def test_batches_that_are_left_early_leave_no_worker():
  """Also where the exception, and with it the frame that read them, is kept: as in a notebook."""

  def read():
    for _ in batches():
      assert len(left_over.children()) == 2
      raise KeyError

  with pytest.raises(KeyError) as kept:
    read()
  assert kept.value.__traceback__ and not left_over.children()


@left_over.on_linux
def test_ctrl_c_and_sigterm_to_all_processes_leave_the_workers_at_work():
  """A run answers both by saving, and needs its batches until then."""
  iterator = iter(batches())
  first = next(iterator)["index"].tolist()
  for worker in left_over.children():
    os.kill(worker, signal.SIGINT)
    os.kill(worker, signal.SIGTERM)
  assert [first, *(batch["index"].tolist() for batch in iterator)] == [[0, 1], [2, 3], [4, -1]]
