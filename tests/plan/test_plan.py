"""Planning, from the flag to the file, and what cannot be planned."""

import importlib.util
import json
import subprocess
import sys

import jax
import members
import numpy as np
import pytest
from tiny_config import tiny

from contrastive_jax import build, errors, parallel, plan, run_images
from contrastive_jax.data import pipeline
from contrastive_jax.plan import images, program, topology
from contrastive_jax.plan.images import Images
from contrastive_jax.step import state as state_lib


def test_names_of_topologies():
  assert [str(t) for t in topology.parse("v5e:4x4,8x8,v4:4x4x4,cpu:8,16,here")] == [
    "v5e:4x4",
    "v5e:8x8",
    "v4:4x4x4",
    "cpu:8",
    "cpu:16",
    "here",
  ]
  assert topology.parse("v4:4x4x8")[0].num_devices == 128


@pytest.mark.parametrize(
  "asked, options, line",
  [
    ("v9:4x4", {}, "'v9' is unknown; use e.g. v4:4x4x4"),
    ("4x4", {}, "'4x4' is unknown"),
    ("v5e:4x4x4", {}, "a size of v5e is written as in v5e:4x4"),
    ("cpu:0", {}, "a size of cpu is written as in cpu:8"),
    ("cpu:3", {}, "batch_size 16 is not divisible by 3 devices; use 15 or 18"),
    ("cpu:8", {"batches": "16,x"}, "--plan_batch=16,x is no list of batch sizes"),
    ("cpu:8", {"batches": "16,128"}, "batch_size 128 exceeds the 64 images"),
    ("cpu:8", {"images": "many"}, "is not COUNT:CLASSES"),
  ],
)
def test_what_cannot_be_planned_is_told_before_anything_is_compiled(
  asked, options, line, monkeypatch
):
  monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("a process was started"))
  with pytest.raises(errors.UserError, match=line):
    plan.run(tiny(), asked, **options)


def test_a_missing_compiler_is_told_with_the_extra(monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  with pytest.raises(errors.UserError, match=r"needs libtpu.*pip install -e '.\[tpu\]'"):
    topology.check_installed(topology.parse("v5e:4x4")[0])
  topology.check_installed(topology.parse("cpu:8")[0])


def with_tfds(name, split="train"):
  c = tiny(data__source="tfds", data__split=split)
  c.data.tfds.name, c.data.tfds.path = name, "/nowhere"
  return c


def test_sizes_of_known_sets_need_no_images():
  assert images.describe(with_tfds("imagenet2012:5.1.0")) == Images(1_281_167, 1000, 512)
  assert images.describe(with_tfds("cifar10", "train[:10000]")) == Images(10_000, 10, 32)
  assert images.describe(with_tfds("secret"), "500:0:64") == Images(500, 0, 64)
  with pytest.raises(errors.UserError, match="to plan without them .* --plan_images=1281167:1000"):
    images.describe(with_tfds("secret"))
  with pytest.raises(errors.UserError, match="cifar10 has no split 'val'; it has train, test"):
    images.describe(with_tfds("cifar10", "val"))


def test_without_tensorflow_datasets_whole_splits_of_known_sets_are_planned(monkeypatch):
  monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
  monkeypatch.setitem(sys.modules, "tensorflow_datasets.core", None)
  assert images.describe(with_tfds("cifar10")) == Images(50_000, 10, 32)
  with pytest.raises(errors.UserError, match=r"slice train\[:9\] .* pip install -e '.\[tfds\]'"):
    images.describe(with_tfds("cifar10", "train[:9]"))


def test_a_step_in_parts_has_the_ideal_of_the_undivided_one():
  c = tiny(micro_batches=2, method__loss_impl="tiled:bfloat16")
  plain = program.in_one_go(c)
  assert (plain.micro_batches, plain.method.loss_impl) == (1, "dense:bfloat16")
  assert (c.micro_batches, c.method.loss_impl) == (2, "tiled:bfloat16")


def test_a_compiler_does_not_outlive_who_asked_for_it():
  # It asks for its work when it watches already; `read` is how.
  compiler = "import io, sys, time; from contrastive_jax.plan import child; "
  compiler += "sys.stdin = io.StringIO(); "
  compiler += "sys.stdin.read = lambda: print('ready', flush=True) or time.sleep(999); child.main()"
  asking = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {compiler!r}])"
  process = subprocess.Popen([sys.executable, "-c", asking], stdout=subprocess.PIPE, text=True)
  assert process.stdout.readline() == "ready\n"
  process.kill()
  assert process.communicate(timeout=300)[0] == "", "the compiler's end closes the pipe"


def test_the_planned_state_and_batch_are_those_that_training_uses():
  c = tiny()
  source = run_images.source(c, "train")
  made = program.make(c, images.describe(c), jax.devices())
  run = build.run(c, len(source), source.num_classes, made.mesh.size)
  state = state_lib.create(run.init, seed=c.seed, mesh=made.mesh)
  batches = pipeline.train_batches(
    source, batch_size=c.batch_size, seed=0, **run_images.pipeline_options(c)
  )
  batch = parallel.put(next(iter(batches)), made.mesh)

  def form(tree):
    return jax.tree.map(lambda x: (x.shape, np.dtype(x.dtype), x.sharding), tree)

  assert form(made.state) == form(state)
  assert form(made.batch) == form(batch)


def command(tmp_path, *arguments):
  config = members.config_file(tmp_path)
  return subprocess.run(
    members.training(config, tmp_path / "run", *arguments),
    env=members.environment(),
    capture_output=True,
    text=True,
    cwd=tmp_path,
  )


def assert_is_a_plan(done, tmp_path, devices):
  assert done.returncode == 0, done.stderr
  (found,) = json.loads((tmp_path / "run" / "plan.json").read_text())["plans"]
  assert found["devices"] == devices
  assert found["share_of_ideal_flops"] > 0.7  # so small a net repeats its optimiser noticeably
  assert "images" not in found["traffic"]
  gradients = found["traffic"]["gradients"]["bytes"] / 4
  assert 0.9 * found["parameters"] < gradients < 1.3 * found["parameters"]  # and the probe's
  assert found["traffic"]["embeddings"]["bytes"] >= 16 * 2 * 16 * 4
  assert found["memory"]["total"] > found["memory"]["arguments"] > 0
  assert found["choices"] == [f"contrast of 32 rows with 32 columns on {devices} device(s): dense"]
  assert f"{found['parameters']:,}" in done.stdout
  return found


@pytest.mark.slow
def test_a_plan_for_eight_cpu_devices(tmp_path):
  done = command(tmp_path, "--plan=cpu:8")
  found = assert_is_a_plan(done, tmp_path, 8)
  assert found["seconds"] is None and found["hours_at_least"] is None, "a CPU has no published peak"


@pytest.mark.slow
@pytest.mark.skipif(
  importlib.util.find_spec("libtpu") is None, reason="libtpu is absent: pip install -e '.[tpu]'"
)
def test_a_plan_for_four_tpu_chips(tmp_path):
  done = command(tmp_path, "--plan=v5e:2x2")
  found = assert_is_a_plan(done, tmp_path, 4)
  assert found["chip"] == "v5e" and found["headroom"] > 0 and found["hours_at_least"] > 0
