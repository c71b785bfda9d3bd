"""One run has the lease of a place in a bucket, and whoever lost it writes nothing."""

import json
import time

import pytest
from bucket_servers import on_s3_slowly as pytest_generate_tests  # noqa: F401

from contrastive_jax import errors
from contrastive_jax.buckets import address, lease


@pytest.fixture
def place(server):
  return address.parsed(server.address("run"), "--workdir")


@pytest.fixture
def clock(monkeypatch):
  """Time that passes when somebody sleeps, or when it is told to."""

  class Clock:
    now = 1000.0

    def monotonic(self):
      return self.now

    def sleep(self, seconds):
      self.now += seconds

  made = Clock()
  monkeypatch.setattr(lease, "time", made)
  return made


def silent(place, folder):
  """A lease that is claimed and whose thread renews nothing: as that of a process that is gone."""
  made = lease.Lease(place, folder)
  made._renewed_s = 3600.0
  return made


def test_a_second_run_is_refused_with_process_and_host_of_the_first(place):
  first = lease.Lease(place, "one")
  assert first.claim() == ""
  with pytest.raises(errors.UserError, match="is in use by process \\d+ on "):
    lease.Lease(place, "two").claim()
  first.check()
  first.release()


def test_what_was_released_is_had_at_once(place, clock):
  first = silent(place, "one")
  first.claim()
  first.release()
  second, then = silent(place, "two"), clock.now
  assert second.claim() == "" and clock.now == then
  second.release()
  assert silent(place, "two").claim() == second.token, "nobody else had it since"


def test_of_a_process_of_this_folder_that_is_gone_it_is_had_at_once(place, clock):
  killed = silent(place, "one")
  killed.claim()
  then = clock.now
  assert silent(place, "one").claim() == killed.token and clock.now == then


def test_one_that_ran_out_is_taken_over_and_the_first_writes_nothing_more(place, clock):
  first, second = silent(place, "one"), silent(place, "two")
  first.claim()
  then = clock.now
  assert second.claim() == "" and clock.now - then >= lease.LASTS_S
  with pytest.raises(errors.SaveFailed, match="the lease was taken over by process"):
    first.check()
  assert first.lost()
  second.check()
  first.release()
  assert json.loads(second._objects.get("lease/00000002.json"))["released"] is False


def test_one_that_ran_out_and_that_nobody_took_is_claimed_anew(place, clock):
  first = silent(place, "one")
  first.claim()
  clock.now += lease.LASTS_S + 1
  first.check()
  assert list(first._objects.listed("lease")) == ["lease/00000002.json"]


def test_a_holder_stops_before_another_may_begin(place, clock):
  """Also where its last renewal took long to arrive."""
  first = silent(place, "one")
  first.claim()
  put = first._objects.put

  def slowly(*given, **options):
    put(*given, **options)
    clock.now += 4.0

  first._objects.put = slowly
  begun = clock.now
  first._renew()
  assert first._until <= begun + lease.LASTS_S - lease._SAFETY_S + 4.0 + 4.0
  assert first._until - begun < lease.LASTS_S or list(first._objects.listed("lease")) == [
    "lease/00000002.json"
  ]


def test_a_thread_renews_it(place):
  first = lease.Lease(place, "one")
  first.claim()
  beat = first._beat
  deadline = time.monotonic() + 60
  while first._beat == beat and time.monotonic() < deadline:
    time.sleep(0.05)
  first.release()
  assert first._beat > beat


def test_a_lease_that_is_damaged_is_waited_for(place, clock, server):
  silent(place, "one").claim()
  server.put("run/lease/00000001.json", b"\xff{")
  second, then = silent(place, "two"), clock.now
  assert second.claim() == "" and clock.now - then >= lease.LASTS_S
