"""What a plan makes of a compiled step: times of published peaks, warnings, a table and a plot."""

import re

import jax
import pytest
from tiny_config import tiny

from contrastive_jax import config
from contrastive_jax.plan import child, chips, figures, report, topology
from contrastive_jax.plan.images import Images

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
