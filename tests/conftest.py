"""Eight fake CPU devices, a compilation cache, and warnings as errors (see pyproject.toml)."""

import gc
import importlib.metadata
import logging
import os
import pathlib
import signal
import tempfile

# A shell that starts a suite in the background has it ignore Ctrl-C, and so would every run that a
# test starts and interrupts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
  signal.signal(signal.SIGINT, signal.default_int_handler)

# Traces make many objects that stay; by default a tenth of the time goes to looking through them.
gc.set_threshold(50_000, 20, 20)

os.environ["JAX_PLATFORMS"] = "cpu"
# Tests compile much and compute little: without optimisation they take a third less time, and a
# tenth less again if a program is not cut into parts for several threads.
ONE_DEVICE_FLAGS = (
  "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
  " --xla_cpu_parallel_codegen_split_count=1"
  # As `compiling` has it where there are several devices, also for what tests compile themselves.
  " --xla_cpu_enable_concurrency_optimized_scheduler=false"
)
if importlib.metadata.version("jaxlib").startswith("0.10."):
  # The old code generator takes a quarter of the new one's time; later versions do not have it.
  ONE_DEVICE_FLAGS += " --xla_cpu_use_fusion_emitters=false"
os.environ["XLA_FLAGS"] = f"{ONE_DEVICE_FLAGS} --xla_force_host_platform_device_count=8"
# Of this process and of those that tests start.
os.environ.setdefault(
  "JAX_COMPILATION_CACHE_DIR", os.path.join(tempfile.gettempdir(), "contrastive_jax_test_cache")
)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.5"

import pytest  # noqa: E402  (after the environment)
from absl import flags  # noqa: E402

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"

flags.FLAGS.mark_as_parsed()  # as in a command: libraries may read absl flags


def pytest_addoption(parser):
  parser.addoption(
    "--all-devices", action="store_true", help="test every method on 2, 4 and 8 devices, not only 8"
  )

  parser.addoption(
    "--thorough", action="store_true", help="also run what is marked so, some minutes in all"
  )


def pytest_collection_modifyitems(config, items):
  """Puts the longest file first, then those with slow tests: none is left to one worker alone."""
  if not config.getoption("--thorough"):
    # Each is close to a test that runs always: make test has to stay below 15 minutes.
    skip = pytest.mark.skip(reason="takes long; --thorough runs it")
    for item in items:
      if item.get_closest_marker("thorough"):
        item.add_marker(skip)
  slow = {item.path for item in items if item.get_closest_marker("slow")}
  items.sort(key=lambda item: (item.path.name != "test_methods.py", item.path not in slow))


@pytest.fixture(autouse=True)
def logging_as_before():
  """Takes away what a command that a test ran in this process has set: its stream is closed now."""
  log = logging.getLogger("contrastive_jax")
  before = list(log.handlers), log.level, log.propagate
  yield
  log.handlers[:], log.propagate = before[0], before[2]
  log.setLevel(before[1])


@pytest.fixture
def level_of_runs(monkeypatch):
  """Has steps compiled as a run has them, with the flags above for all else: many take less time.

  Also those of processes that the test starts, which have one device then.
  """
  import jax

  jax.devices()  # XLA reads its flags here, once
  monkeypatch.delenv("XLA_FLAGS")


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
  """The folder of real images, or a skip that says what is missing."""
  if not (SHARED_DATA / "cifar10-test.npz").exists():
    pytest.skip("real CIFAR-10 is absent: ../shared/data beside the repository holds none")
  return SHARED_DATA


@pytest.fixture(scope="session")
def bucket_server(request):
  """A server of buckets, of the kind that `bucket_servers.on_both` asks for."""
  import bucket_servers

  bucket_servers.needed(request.param)
  server = bucket_servers.Server(request.param)
  yield server
  server.stop()


@pytest.fixture
def server(bucket_server, monkeypatch, tmp_path):
  """It, empty, with the variables that lead to it, and a "machine" with an empty cache folder."""
  import bucket_servers

  with bucket_servers.emptied(bucket_server, monkeypatch, tmp_path / "machine"):
    yield bucket_server
