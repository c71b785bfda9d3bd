"""Planning: what a compiled step says, what is made of it, and what cannot be planned."""

import importlib.util
import json
import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ONE_DEVICE_FLAGS, REPOSITORY
from tiny_config import tiny

from contrastive_jax import config, errors, parallel, plan
from contrastive_jax.plan import (
  arithmetic,
  child,
  chips,
  figures,
  hlo,
  images,
  program,
  report,
  topology,
  traffic,
)
from contrastive_jax.plan.images import Images

SHAPES = traffic.Shapes(rows=frozenset({64, 32, 16, 8}), parameters=frozenset({(3, 3, 8, 8), (8,)}))

# As the TPU's and the CPU's compilers write: one gather in two pieces on one channel, a merged
# all-reduce without a name, a ring in a loop, an asynchronous gather, and a group of one.
ALL = "channel_id=1, replica_groups={{0,1,2,3,4,5,6,7}}, dimensions={0}"
CHAIN = 'frontend_attributes={chain_id="0"}'
NAMED = 'metadata={op_name="jit(step)/shard_map/all_gather"}'
BN = 'metadata={op_name="jit(step)/jvp(Network)/(norm1/reduce_sum:norm_skip/reduce_sum)"}'
TEXT = f"""\
HloModule step

%add (a: f32[], b: f32[]) -> f32[] {{
  REPOSITORY %sum = f32[] add(%a, %b)
}}

%piece1 (p: f32[8,4]) -> f32[64,4] {{
  REPOSITORY %g1 = f32[64,4]{{1,0:T(8,128)}} all-gather(%p), {ALL}, {CHAIN}, {NAMED}
}}

%piece2 (p: f32[8,4]) -> f32[64,4] {{
  REPOSITORY %g2 = f32[64,4]{{1,0}} all-gather(%p), {ALL}, {CHAIN}, {NAMED}
}}

%ring (s: (s32[], f32[8,4])) -> (s32[], f32[8,4]) {{
  %product = f32[8,8] dot(%x, %x)
  REPOSITORY %sent = f32[8,4]{{1,0}} collective-permute(%x), channel_id=9
}}

%more (s: (s32[], f32[8,4])) -> pred[] {{
  %bound = s32[]{{:T(128)}} constant(7)
  REPOSITORY %less = pred[] compare(%i, %bound), direction=LT
}}

ENTRY %main (x: f32[8,4]) -> f32[64,4] {{
  %a = f32[64,4] fusion(%x), kind=kOutput, calls=%piece1
  %b = f32[64,4] fusion(%x), kind=kOutput, calls=%piece2
  %w = (s32[], f32[8,4]) while(%t), condition=%more, body=%ring
  %r = (f32[3,3,8,8]{{3,2,1,0}}, /*index=1*/f32[]) all-reduce(%x), replica_groups=[2,4]<=[8]
  %n = f32[8] all-reduce(%z), replica_groups=mesh['axis_0'=8,'axis_1'=1] {{'axis_0'}}, {BN}
  %s = (f32[8,4], bf16[64,4]) all-gather-start(%x), {ALL}
  %one = f32[9] all-reduce(%z), channel_id=5, replica_groups={{{{0}},{{1}}}}, to_apply=%add
  REPOSITORY %d = f32[64,4] add(%a, %b)
}}
"""


def test_each_collective_is_found_once_with_its_group_and_rounds():
  found = [(c.kind, str(c.items[0]), c.group, c.times) for c in hlo.collectives(TEXT, 8)]
  assert sorted(found) == [
    ("all-gather", "bf16[64,4]", 8, 1),
    ("all-gather", "f32[64,4]", 8, 1),
    ("all-reduce", "f32[3,3,8,8]", 4, 1),
    ("all-reduce", "f32[8]", 8, 1),
    ("collective-permute", "f32[8,4]", 8, 7),
  ]
  assert hlo.longest_loop(TEXT) == 7


def test_bytes_on_the_wire_are_those_of_ring_algorithms():
  found = {c.kind + str(c.items[0]): c for c in hlo.collectives(TEXT, 8)}

  def wire(name):
    return sum(found[name].wire_bytes(i) for i in found[name].items)

  assert wire("all-gatherf32[64,4]") == 64 * 4 * 4 * 7 / 8
  assert wire("all-gatherbf16[64,4]") == 64 * 4 * 2 * 7 / 8, "the result alone, not the operand"
  assert wire("all-reducef32[3,3,8,8]") == (576 + 1) * 4 * 2 * 3 / 4
  assert wire("collective-permutef32[8,4]") == 7 * 8 * 4 * 4
  scatter = hlo.Collective("reduce-scatter", (hlo.Item("f32", (2,)),), 4, 1, "")
  assert scatter.wire_bytes(scatter.items[0]) == 2 * 4 * 3


def test_what_travels_is_named():
  named = {str(i): traffic.carries(c, i, SHAPES) for c in hlo.collectives(TEXT, 8) for i in c.items}
  assert named == {
    "f32[64,4]": "embeddings",
    "bf16[64,4]": "embeddings",
    "f32[8,4]": "embeddings",
    "f32[3,3,8,8]": "gradients",
    "f32[]": "other statistics",
    "f32[8]": "batch norm",
  }


def test_images_that_move_between_devices_are_seen():
  mesh = parallel.make_mesh()
  x = jax.ShapeDtypeStruct((64, 2, 16, 16, 3), jnp.float32, sharding=parallel.sharded(mesh))
  with parallel.use(mesh):
    text = jax.jit(lambda x: parallel.gather(x).sum(axis=0)).lower(x).compile().as_text()
  carried = [traffic.carries(c, i, SHAPES) for c in hlo.collectives(text, 8) for i in c.items]
  assert traffic.IMAGES in carried


FOUND = {
  "device_kind": "TPU v5 lite",
  "devices": 16,
  "chip": "v5e",
  "flops_undivided": 160e12,
  "parameters": 10,
  "memory": {"arguments": 2**30, "total": 2**30},
  "flops": 10e12,
  "hbm_bytes": 819e9 / 100,
  "collectives": [
    {
      "kind": "all-gather",
      "carries": "embeddings",
      "largest": "f32[64,4]",
      "bytes": 3e6,
      "wire_bytes": 200e9 / 1000,
      "times": 1,
      "op": "",
    }
  ],
  "longest_loop": 1,
  "choices": ["contrast of 512 rows with 512 columns on 16 device(s): dense"],
  "compile_seconds": 1.0,
}


def figures_of(batch_size=256, **changes):
  c = tiny(batch_size=batch_size)
  return figures.of("v5e:4x4", c, Images(1024, 10, 16), FOUND | changes)


def test_the_second_pass_of_micro_batches_is_no_repetition():
  c = tiny(batch_size=256, micro_batches=2)
  for flops, repeats in ((13.3e12, False), (20e12, True)):
    found = figures.of("v5e:4x4", c, Images(1024, 10, 16), FOUND | {"flops": flops})
    assert any("4/3 of it by micro_batches" in line for line in found["warnings"]) == repeats


def test_the_form_of_the_loss_is_told_whoever_chose_it():
  assert figures_of()["choices"] == FOUND["choices"]
  c = tiny(batch_size=256, method__loss_impl="ring")
  found = figures.of("v5e:4x4", c, Images(1024, 10, 16), FOUND | {"choices": []})
  assert "ring, by method.loss_impl" in report.text(found)


def test_times_are_those_of_the_published_peaks():
  found = figures_of()
  assert found["seconds"]["arithmetic"] == pytest.approx(10 / 197)
  assert found["seconds"]["memory"] == pytest.approx(0.01)
  assert found["seconds"]["network"] == pytest.approx(0.001)
  assert found["steps"] == 3 * 4
  assert found["hours_at_least"] == pytest.approx(12 * 10 / 197 / 3600)
  assert found["share_of_ideal_flops"] == 1
  assert found["headroom"] == 14.75 * 2**30
  assert not found["warnings"]


@pytest.mark.parametrize(
  "changes, line",
  [
    ({"flops": 20e12}, "2.00 times its share"),
    (
      {"memory": {"total": 17 * 2**30}},
      r"needs 17.0 GiB a chip of 15.75; try --config.model.remat",
    ),
    ({"memory": {"refused": "no", "needed_bytes": None}}, "needs more than a chip has"),
    ({"batch_size": 64}, "4 images on each"),
    ({"longest_loop": 7}, "a loop of 7 rounds"),
    (
      {"collectives": [FOUND["collectives"][0] | {"carries": "images"}]},
      "images or feature maps travel between chips, 3.0 MB a step, largest",
    ),
    (
      {"collectives": [FOUND["collectives"][0] | {"wire_bytes": 1e12}]},
      "network takes longer",
    ),
  ],
)
def test_each_warning_names_its_figure(changes, line):
  (warning,) = figures_of(**changes)["warnings"]
  assert re.search(line, warning), warning


def test_a_table_and_a_plot_hold_every_plan(tmp_path):
  plans = [figures_of(), figures_of(512, memory={"refused": "no", "needed_bytes": 2**34})]
  del plans[1]["seconds"], plans[1]["flops"]
  lines = report.table(plans).splitlines()
  assert len(lines) == 4 and len({line.count("|") for line in lines}) == 1
  for each in plans:
    assert "WARNING" in report.text(each) or not each["warnings"]
  report.plot(plans, tmp_path / "plan.png")
  assert (tmp_path / "plan.png").stat().st_size > 1000


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


def test_every_chip_has_a_source_and_a_limit_below_its_capacity():
  for chip in chips.CHIPS.values():
    assert chip.source.startswith("https://") and "cloud.google.com/tpu/" in chip.source
    assert 0.9 * chip.hbm_gib < chip.compiler_gib < chip.hbm_gib + 1
  for chip in chips.GPUS.values():
    assert chip.source.startswith("https://www.nvidia.com/") and chip.compiler_gib is None


def test_the_devices_that_are_here_tell_their_limit_and_their_peaks(monkeypatch):
  """A GPU, where one is not there: nothing is compiled."""

  class Gpu:
    device_kind = "NVIDIA H100 80GB HBM3"

    def memory_stats(self):
      return {"bytes_limit": 64 * 2**30}

  monkeypatch.setattr(child, "devices", lambda topology: [Gpu()])
  local = jax.local_devices
  monkeypatch.setattr(jax, "local_devices", lambda backend=None: local() if backend else [Gpu()])
  monkeypatch.setattr(child.program, "make", lambda *a: None)
  monkeypatch.setattr(child.program, "count_flops", lambda p: 10e12)
  monkeypatch.setattr(child.similarity, "_DENSE_SHARE", 0)  # put back
  read = {k: v for k, v in FOUND.items() if k not in ("device_kind", "devices", "chip")}
  monkeypatch.setattr(child.program, "compile_and_read", lambda *a: read)
  c = tiny(batch_size=256)
  found = child.plan(topology.parse("here")[0], config.to_json(c), Images(1024, 10, 16))
  plan = figures.of("here", c, Images(1024, 10, 16), found)
  assert plan["memory_limit"] == pytest.approx(0.95 * 64 * 2**30)
  assert plan["headroom"] == pytest.approx(plan["memory_limit"] - 2**30)
  assert plan["seconds"]["arithmetic"] == pytest.approx(FOUND["flops"] / 989e12)
  assert "dense" in report.text(plan) and "fit_memory, of training, is not" in report.text(plan)


@pytest.mark.parametrize(
  "stride, dilation, padding", [(1, 1, "SAME"), (2, 1, "SAME"), (1, 2, "VALID"), (3, 2, "SAME")]
)
def test_products_in_a_loop_are_counted_in_every_round(stride, dilation, padding):
  """As XLA counts them where there is no loop."""

  def layer(x, w):
    y = jax.lax.conv_general_dilated(
      x, w, (stride,) * 2, padding, rhs_dilation=(dilation,) * 2,
      dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )  # fmt: skip
    return (y**2).sum() + ((w[0, 0] @ w[1, 1]) ** 2).sum()

  def rounds(count):
    def total(x, w):
      def body(carry, _):
        return carry + layer(x + carry, w), None

      return jax.lax.scan(body, 0.0, None, length=count)[0]

    return jax.jit(jax.grad(total, argnums=(0, 1))).lower(*shapes).compile()

  shapes = [jnp.zeros((2, 9, 11, 8)), jnp.zeros((3, 3, 8, 8))]
  looped, unrolled = rounds(5), rounds(1)
  assert arithmetic.missed(unrolled.as_text()) == 0
  found = looped.cost_analysis()["flops"] + arithmetic.missed(looped.as_text())
  assert found == pytest.approx(5 * unrolled.cost_analysis()["flops"], rel=0.05)


def test_a_step_in_parts_has_the_ideal_of_the_undivided_one():
  c = tiny(micro_batches=2, method__loss_impl="tiled:bfloat16")
  plain = program.in_one_go(c)
  assert (plain.micro_batches, plain.method.loss_impl) == (1, "dense:bfloat16")
  assert (c.micro_batches, c.method.loss_impl) == (2, "tiled:bfloat16")


def test_a_compiler_does_not_outlive_who_asked_for_it():
  compiler = "from contrastive_jax.plan import child; child.leave_with_parent(); print('ready'); "
  compiler += "import sys, time; sys.stdout.flush(); time.sleep(300)"
  asking = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {compiler!r}])"
  process = subprocess.Popen([sys.executable, "-c", asking], stdout=subprocess.PIPE, text=True)
  assert process.stdout.readline() == "ready\n"
  process.kill()
  assert process.communicate(timeout=60)[0] == "", "the compiler's end closes the pipe"


def test_the_planned_state_and_batch_are_those_that_training_uses():
  from contrastive_jax import build
  from contrastive_jax.data import pipeline
  from contrastive_jax.step import state as state_lib

  c = tiny()
  source = build.source(c, "train")
  made = program.make(c, images.describe(c), jax.devices())
  run = build.run(c, len(source), source.num_classes, made.mesh.size)
  state = state_lib.create(run.init, seed=c.seed, mesh=made.mesh)
  batches = pipeline.train_batches(
    source, batch_size=c.batch_size, seed=0, **build.pipeline_options(c)
  )
  batch = parallel.put(next(iter(batches)), made.mesh)

  def form(tree):
    return jax.tree.map(lambda x: (x.shape, np.dtype(x.dtype), x.sharding), tree)

  assert form(made.state) == form(state)
  assert form(made.batch) == form(batch)


def command(tmp_path, *arguments):
  (tmp_path / "tiny.py").write_text(
    f"import sys\nsys.path.insert(0, {str(REPOSITORY / 'tests')!r})\n"
    "import tiny_config\n\n\ndef get_config():\n  return tiny_config.tiny()\n"
  )
  environment = dict(os.environ, JAX_PLATFORMS="cpu", XLA_FLAGS=ONE_DEVICE_FLAGS)
  train = [sys.executable, str(REPOSITORY / "train.py"), f"--config={tmp_path / 'tiny.py'}"]
  return subprocess.run(
    [*train, *arguments], env=environment, capture_output=True, text=True, cwd=tmp_path
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
  done = command(tmp_path, "--plan=cpu:8", f"--workdir={tmp_path / 'run'}")
  found = assert_is_a_plan(done, tmp_path, 8)
  assert found["seconds"] is None and found["hours_at_least"] is None, "a CPU has no published peak"


@pytest.mark.slow
@pytest.mark.skipif(
  importlib.util.find_spec("libtpu") is None, reason="libtpu is absent: pip install -e '.[tpu]'"
)
def test_a_plan_for_four_tpu_chips(tmp_path):
  done = command(tmp_path, "--plan=v5e:2x2", f"--workdir={tmp_path / 'run'}")
  found = assert_is_a_plan(done, tmp_path, 4)
  assert found["chip"] == "v5e" and found["headroom"] > 0 and found["hours_at_least"] > 0
