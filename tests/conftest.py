"""Eight fake CPU devices, a compilation cache, and warnings as errors (see pyproject.toml)."""

import os
import pathlib
import tempfile

os.environ["JAX_PLATFORMS"] = "cpu"
_FLAGS = (
  "--xla_force_host_platform_device_count=8",
  "--xla_backend_optimization_level=0",  # tests compile much and compute little: a third less time
  "--xla_llvm_disable_expensive_passes=true",
)
os.environ["XLA_FLAGS"] = " ".join((os.environ.get("XLA_FLAGS", ""), *_FLAGS)).strip()

import jax  # noqa: E402  (after the environment)
import pytest  # noqa: E402
from absl import flags  # noqa: E402

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"

_CACHE = os.environ.get(
  "CONTRASTIVE_JAX_TEST_CACHE", os.path.join(tempfile.gettempdir(), "contrastive_jax_test_cache")
)
jax.config.update("jax_compilation_cache_dir", _CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
flags.FLAGS.mark_as_parsed()  # Grain's worker processes read absl flags


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
  """The folder of real images, or a skip that says what is missing."""
  if not (SHARED_DATA / "cifar10-test.npz").exists():
    pytest.skip("real CIFAR-10 is absent: ../shared/data beside the repository holds none")
  return SHARED_DATA
