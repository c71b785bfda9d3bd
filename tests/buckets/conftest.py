"""Servers of buckets for the tests of this folder, and a cache folder for each test."""

import bucket_servers
import pytest

from contrastive_jax.buckets import lease, local, mirror, objects


def pytest_collection_modifyitems(items):
  """What runs and leases do is the same on both: on the second it is tested where time is taken."""
  for item in items:
    if item.path.name in ("test_mirror.py", "test_lease.py") and "s3" in item.name:
      item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="package", params=bucket_servers.KINDS)
def running(request):
  bucket_servers.needed(request.param)
  server = bucket_servers.Server(request.param)
  yield server
  server.stop()


@pytest.fixture
def server(running, monkeypatch, tmp_path):
  """A running server, the variables that lead to it, and a "machine" with an empty cache folder."""
  for name, value in running.environment.items():
    monkeypatch.setenv(name, value)
  monkeypatch.setenv(local.VARIABLE, str(tmp_path / "machine"))
  monkeypatch.setattr(objects, "PAUSES_S", (0.05, 0.05))
  monkeypatch.setattr(lease, "LASTS_S", 6.0)
  monkeypatch.setattr(lease, "RENEWED_S", 0.2)
  monkeypatch.setattr(mirror, "_LOGS_EVERY_S", 3600.0)
  running.before = lambda method, path: None
  running.requests.clear()
  for name in list(running.objects()):
    running.delete(name)
  yield running
  running.before = lambda method, path: None
