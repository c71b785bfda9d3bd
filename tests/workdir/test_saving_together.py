"""A save of several processes ends alike on all, and waits for ever for none."""

import concurrent.futures
import threading
import types

import pytest

from contrastive_jax import errors
from contrastive_jax.workdir import together


@pytest.fixture
def processes(monkeypatch):
  """Calls a function for each of three processes, here threads, and returns what each raised."""
  local, left = threading.local(), {}
  changed = threading.Condition()

  def leave(key, text):
    with changed:
      assert key not in left
      left[key] = text
      changed.notify_all()

  def wait_for(key, go_on):
    with changed:
      while not changed.wait_for(lambda: key in left, timeout=0.01):
        if not go_on():
          return None
      return left[key]

  def drop(key):
    with changed:
      for name in [name for name in left if name.startswith(key)]:
        del left[name]

  fake = types.SimpleNamespace(process_index=lambda: local.number, process_count=lambda: 3)
  monkeypatch.setattr(together, "jax", fake)
  monkeypatch.setattr(
    together, "notes", types.SimpleNamespace(leave=leave, wait_for=wait_for, drop=drop)
  )
  # Each process counts its own saves.
  numbers = [iter(range(100)) for _ in range(3)]
  monkeypatch.setattr(together, "next", lambda _: next(numbers[local.number]), raising=False)

  def call(function):
    def one(number):
      local.number = number
      try:
        function(number)
      except errors.SaveFailed as error:
        return str(error)

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
      return list(pool.map(one, range(3)))

  return types.SimpleNamespace(call=call, left=left)


def test_process_0_ends_a_save_when_all_have_written(processes):
  ended, saves = [], [together.Together() for _ in range(3)]

  def save(number):
    for step in (1, 2):
      saves[number].save("it", lambda step=step: {f"{step} of {number}": number}, ended.append)

  assert processes.call(save) == [None] * 3
  assert ended == [{f"{step} of {n}": n for n in range(3)} for step in (1, 2)]
  assert list(processes.left) == ["save/1.end"], "notes are dropped"


@pytest.mark.parametrize("bad", [0, 2])
def test_what_one_cannot_write_is_told_to_all_and_nothing_is_committed(processes, bad):
  ended = []

  def save(number):
    def write():
      if number == bad:
        raise errors.SaveFailed("no room")
      return {}

    together.Together().save("it", write, ended.append)

  for said in processes.call(save):
    assert f"process {bad} on " in said and "no room" in said
  assert ended == []


def test_a_commit_that_fails_is_told_to_all(processes):
  def end(_):
    raise errors.SaveFailed("cannot be renamed")

  said = processes.call(lambda number: together.Together().save("it", dict, end))
  assert said == ["cannot be renamed"] * 3


@pytest.mark.parametrize("gone", [0, 1])
def test_who_leaves_does_not_wait_for_one_that_is_gone(processes, monkeypatch, gone):
  monkeypatch.setattr(together, "LEAVING_S", 0.05)
  ended = []

  def save(number):
    if number != gone:
      saves = together.Together()
      saves.leave()
      saves.save("step 7", dict, ended.append)

  said = processes.call(save)
  missing = "process 0 has not said so" if gone == 0 else "process 1 has not written"
  assert any(missing in text for text in said if text) and ended == []
  assert [text is None for text in said] == [number == gone for number in range(3)]
