"""Processes that meet by hand-given places: all come, or all are told in one line why not."""

import concurrent.futures
import contextlib
import re
import socket

import members
import pytest

from contrastive_jax import errors
from contrastive_jax.processes import hosts, meeting


def meet(*numbers, of=(), timeout_s=20.0):
  """Lets processes (threads) of these numbers meet; returns what each raised, None: it met."""
  coordinator = f"127.0.0.1:{members.free_port()}"
  of = of or [len(numbers)] * len(numbers)

  def one(number, count):
    try:
      meeting.meet(coordinator, count, number, timeout_s)
    except (errors.UserError, errors.PeerLost) as error:
      return error

  with concurrent.futures.ThreadPoolExecutor(len(numbers)) as pool:
    return list(pool.map(one, numbers, of))


def test_all_meet_in_any_order():
  assert meet(2, 1, 0, 3) == [None] * 4


@pytest.mark.parametrize("numbers", [(0, 1, 1), (0, 0, 1), (1, 0, 1)])
def test_a_number_given_twice_is_told_to_all_and_final(numbers):
  for error in meet(*numbers):
    assert isinstance(error, errors.UserError)
    twice = max(numbers, key=numbers.count)
    assert f"--process_id={twice} is given twice, on {socket.gethostname()}" in str(error)


def test_other_counts_of_processes_are_told_to_all():
  for error in meet(0, 1, of=(2, 3)):
    assert isinstance(error, errors.UserError)
    assert "process 1 on" in str(error) and "--num_processes=3" in str(error)


def test_who_does_not_come_is_named_and_it_may_be_tried_again():
  first, other = meet(0, 2, of=(4, 4), timeout_s=2.0)
  assert isinstance(first, errors.PeerLost)
  assert re.search(r"within 2 s \(missing: 1, (2, )?3\)", str(first)), "the 2 may be late"
  assert isinstance(other, errors.PeerLost)


def test_who_is_started_again_meanwhile_is_not_there_twice():
  coordinator = f"127.0.0.1:{members.free_port()}"
  with concurrent.futures.ThreadPoolExecutor(2) as pool:
    first = pool.submit(meeting.meet, coordinator, 3, 0, 20.0)
    for attempt in (meeting._REPLY_S, None):
      patient = pool.submit(meeting.meet, coordinator, 3, 1, 0.5 if attempt else 20.0)
      if attempt:
        with pytest.raises(errors.PeerLost, match="does not answer"):
          patient.result()
    meeting.meet(coordinator, 3, 2, 20.0)
    assert first.result() is patient.result() is None


def test_a_port_that_something_else_has_is_waited_for():
  """A run that is just being ended, or a JAX service: it greets in no words of ours."""
  with socket.create_server(("127.0.0.1", 0)) as other:
    coordinator = f"127.0.0.1:{other.getsockname()[1]}"
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
      late = pool.submit(meeting.meet, coordinator, 2, 1, 1.0)
      other.settimeout(0.1)
      while not late.done():
        with contextlib.suppress(TimeoutError), other.accept()[0] as talk:
          talk.sendall(b"\x00\x00\x12\x04")
      with pytest.raises(errors.PeerLost, match="something else listens there, or the run goes on"):
        late.result()


@pytest.mark.parametrize(
  "coordinator, bound",
  [
    ("127.0.0.1:5", "127.0.0.1:5"),
    ("localhost:5", "127.0.0.1:5"),
    ("192.0.2.1:5", None),  # of nobody (RFC 5737): the address of a gateway before this machine
    ("a.host.of.ours:5", None),
  ],
)
def test_the_service_listens_where_the_others_connect_if_that_is_here(
  coordinator, bound, monkeypatch
):
  given = []
  monkeypatch.setattr(hosts, "_delay_abort", lambda: None)
  monkeypatch.setattr(hosts.jax.distributed, "initialize", lambda **options: given.append(options))
  monkeypatch.setattr(meeting, "meet", lambda *_: None)
  hosts.connect(coordinator, 2, 0)
  assert given[0]["coordinator_bind_address"] == bound
  monkeypatch.setenv("JAX_COORDINATOR_BIND_ADDRESS", "[::]:5")
  hosts.connect(coordinator, 2, 0)
  assert "coordinator_bind_address" not in given[1]
