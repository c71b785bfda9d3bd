"""Signs of life: few messages, nobody missed who lives, and everybody told who does not."""

import collections
import threading

import jax
import pytest

from contrastive_jax.processes import store
from contrastive_jax.processes.signs import Signs


class Kept(dict):
  """A store in memory that counts its messages, and refuses them while it is `away`."""

  def __init__(self):
    super().__init__()
    self.messages, self.away = collections.Counter(), False

  def _count(self, kind):
    if self.away:
      raise RuntimeError("UNAVAILABLE")
    self.messages[kind] += 1

  def set(self, key, text):
    self._count("set")
    self[key] = text

  def get(self, key):
    self._count("get")
    return self.at(key)

  at = dict.get

  def below(self, folder):
    self._count("below")
    return {k.removeprefix(folder): v for k, v in self.items() if k.startswith(folder)}


class Run:
  """Processes that give a sign a second."""

  def __init__(self, count):
    self.store, self.beat = Kept(), 0
    self.signs = [Signs(self.store, "run", i, count) for i in range(count)]

  def seconds(self, number, silent=(), done=()):
    for _ in range(number):
      self.beat += 1
      for i, signs in enumerate(self.signs):
        if i not in silent:
          doing = {"beat": self.beat, "host": f"h{i}", "doing": "computing", "for_s": 0}
          try:
            signs.exchange(doing | {"done": i in done})
          except RuntimeError:
            pass
          signs.pass_time(1.0)
          signs.missing(10)

  def missing(self):
    return [signs.missing(10) for signs in self.signs]


@pytest.mark.parametrize("count", [2, 64, 1024])
def test_a_beat_takes_two_messages_a_process_and_one_look_at_all(count):
  run = Run(count)
  run.seconds(3)
  assert run.store.messages == {"set": 3 * count, "get": 3 * (count - 1), "below": 3}
  assert run.missing() == [None] * count


def test_the_leader_misses_a_silent_process_and_tells_all_others():
  run = Run(4)
  run.seconds(5)
  run.seconds(12, silent={2})
  told = (2, "process 2 on h2 gives no sign of life for 11 s")
  leader, first, silent, last = run.missing()
  assert leader[0] == 2 and "process 2 on h2 gives no sign of life for 12 s" in leader[1]
  assert first == last == told and silent is None


def test_one_that_speaks_again_is_missed_no_longer():
  run = Run(3)
  run.seconds(2)
  run.seconds(12, silent={1})
  assert run.missing()[0] and run.missing()[2]
  run.seconds(3)
  assert run.missing() == [None] * 3


def test_a_leader_that_is_silent_is_missed_by_all():
  run = Run(3)
  run.seconds(2)
  run.seconds(11, silent={0})
  assert [found and found[0] for found in run.missing()[1:]] == [0, 0]


def test_a_process_that_never_came_is_missed_by_its_number():
  run = Run(3)
  run.seconds(13, silent={1})
  process, line = run.missing()[2]
  assert process == 1 and line.startswith("process 1 gives no sign of life for 1")


def test_who_is_done_is_not_missed_nor_is_a_leader_who_is():
  run = Run(3)
  run.seconds(2)
  run.seconds(1, done={1})
  run.seconds(30, silent={1})
  assert run.missing() == [None] * 3
  run.seconds(1, done={0})
  run.seconds(30, silent={0, 1})
  assert run.missing()[2] is None


def test_a_leader_that_cannot_listen_accuses_nobody():
  run = Run(3)
  run.seconds(2)
  run.store.away = True
  run.seconds(60)
  leader, *others = run.missing()
  assert leader is None
  assert {found[0] for found in others} == {0}, "whose service does not answer"


def test_what_all_others_do_is_heard_at_once_and_an_answer_is_not_waited_for_long(monkeypatch):
  run = Run(3)
  run.seconds(1)
  assert {i: said["host"] for i, said in run.signs[1].of_all().items()} == {0: "h0", 2: "h2"}
  monkeypatch.setattr("contrastive_jax.processes.signs._PATIENCE_S", 0.01)
  go_on = threading.Event()
  run.store.below = lambda folder: go_on.wait(60) and {}
  assert run.signs[1].of_all() == {}
  go_on.set()


def test_the_coordinators_store_keeps_the_last_text_and_tells_of_none(free_service):
  found = store.Coordinator(free_service)
  assert found.get("run/leader") is None and found.below("run/signs/") == {}
  found.set("run/signs/7", "a")
  found.set("run/signs/7", "b")
  found.set("run/signs/10", "ü")
  found.set("run/leader", "c")
  assert found.below("run/signs/") == {"7": "b", "10": "ü"} and found.get("run/leader") == "c"


@pytest.fixture
def free_service():
  """A client of JAX's own service, for one process."""
  import members
  from jax._src.lib import _jax

  place = f"127.0.0.1:{members.free_port()}"
  service = _jax.get_distributed_runtime_service(place, 1)
  client = _jax.get_distributed_runtime_client(place, 0)
  client.connect()
  yield client
  client.shutdown()
  service.shutdown()


def test_a_process_alone_has_no_store():
  assert jax.process_count() == 1 and store.connected() is None
