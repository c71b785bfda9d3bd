"""From what a compiled step says to what a run needs: times at published peaks, and warnings."""

from collections import Counter

from ml_collections import ConfigDict

from contrastive_jax import build
from contrastive_jax import config as config_lib
from contrastive_jax.plan import traffic
from contrastive_jax.plan.chips import PEAKS
from contrastive_jax.plan.images import Images

GIB = 2**30
_LEAST_SHARE = 0.9  # of the ideal arithmetic; below, something is computed more than once
_SHARE_OF_PARTS = 3 / 4  # a gradient cache passes the network forward twice, backward once
_LEAST_IMAGES = 8  # a chip: matrix units of TPUs work on eight rows at a time


def of(name: str, config: ConfigDict, images: Images, found: dict) -> dict:
  """Returns the figures of one plan, ready for JSON: bytes, seconds, and lists of dicts.

  Args:
    name: of the topology.
    config: with the plan's batch size.
    images: of the training set.
    found: by the child process.
  """
  per_epoch = build.steps_per_epoch(config, images.count)
  steps = config_lib.total_steps(config, per_epoch)
  plan = {
    "topology": name,
    "batch_size": config.batch_size,
    "images_per_chip": config.batch_size / found["devices"],
    "epochs": round(steps / per_epoch, 3) if config.steps else config.epochs,
    "remat": config.model.get("remat", False),
    "micro_batches": config.micro_batches,
    "steps": steps,
    **found,
  }
  named = config.method.get("loss_impl", "auto")
  if named != "auto":
    plan["choices"] = [f"{named}, by method.loss_impl", *plan["choices"]]
  if "flops" in found:
    plan["share_of_ideal_flops"] = found["flops_undivided"] / found["devices"] / found["flops"]
    plan["traffic"] = _traffic(found["collectives"])
    chip = PEAKS.get(found["chip"])
    plan["seconds"] = _seconds(chip, plan) if chip else None
    plan["hours_at_least"] = steps * plan["seconds"]["longest"] / 3600 if chip else None
  plan["memory_limit"] = limit = _limit(found)
  if limit and "total" in found["memory"]:
    plan["headroom"] = limit - found["memory"]["total"]
  return plan | {"warnings": _warnings(plan, config)}


def _limit(found: dict) -> float | None:
  chip = PEAKS.get(found["chip"])
  of_compiler = chip.compiler_gib * GIB if chip and chip.compiler_gib else None
  return found.get("memory_limit") or of_compiler


def _traffic(collectives: list[dict]) -> dict[str, dict]:
  """Sums over the collectives of each content."""
  count, size, wire = Counter(), Counter(), Counter()
  for entry in collectives:
    count[entry["carries"]] += entry["times"]
    size[entry["carries"]] += entry["bytes"]
    wire[entry["carries"]] += entry["wire_bytes"]
  return {
    name: {"collectives": count[name], "bytes": size[name], "wire_bytes": wire[name]}
    for name in traffic.ALL
    if count[name]
  }


def _seconds(chip, plan: dict) -> dict[str, float]:
  """Returns the least time of a step's arithmetic, memory and network, each by itself."""
  found = {
    "arithmetic": plan["flops"] / chip.bf16_flops,
    "memory": plan["hbm_bytes"] / chip.hbm_bytes,
    "network": sum(t["wire_bytes"] for t in plan["traffic"].values()) / chip.ici_bytes,
  }
  return found | {"longest": max(found.values())}


def _warnings(plan: dict, config: ConfigDict) -> list[str]:
  found = []
  memory = plan["memory"]
  needed, limit = memory.get("total") or memory.get("needed_bytes"), plan["memory_limit"]
  if "refused" in memory or (limit and needed > limit):
    amount = f"{needed / GIB:.1f} GiB a chip" if needed else "more than a chip has"
    remedies = [] if config.model.get("remat", True) else ["--config.model.remat=True"]
    remedies += ["more chips", "a smaller --config.batch_size", "or parts of it, micro_batches"]
    of_limit = f" of {limit / GIB:.2f}" if limit else ""
    fits = "; training tries model.remat and micro_batches itself" if config.fit_memory else ""
    found.append(f"does not fit: needs {amount}{of_limit}; try {', '.join(remedies)}{fits}")
  if plan["images_per_chip"] < _LEAST_IMAGES:
    found.append(
      f"batch too small for the chips: {plan['images_per_chip']:g} images on each (below "
      f"{_LEAST_IMAGES}); use fewer chips or a larger --config.batch_size"
    )
  if "flops" not in plan:
    return found
  moved = plan["traffic"].get(traffic.IMAGES)
  if moved:
    largest = max(
      (e for e in plan["collectives"] if e["carries"] == traffic.IMAGES), key=lambda e: e["bytes"]
    )
    found.append(
      f"images or feature maps travel between chips, {moved['bytes'] / 1e6:.1f} MB a step, largest "
      f"{largest['largest']} by {largest['op'] or largest['kind']}: keep that work on each chip's "
      "own images"
    )
  share = plan["share_of_ideal_flops"]
  in_parts = config.micro_batches > 1
  if share < _LEAST_SHARE * (_SHARE_OF_PARTS if in_parts else 1):
    twice = " (4/3 of it by micro_batches)" if in_parts else ""
    found.append(
      f"each chip computes {1 / share:.2f} times its share of the arithmetic{twice}: part of the "
      "step is repeated on every chip; divide it over the batch, or use fewer chips or a larger "
      "batch"
    )
  seconds = plan["seconds"]
  if seconds and seconds["network"] > max(seconds["arithmetic"], seconds["memory"]):
    found.append(
      "the network takes longer than the chips' own work; use fewer chips or a larger batch"
    )
  if plan["longest_loop"] > 1:
    found.append(
      f"the step has a loop of {plan['longest_loop']} rounds, whose memory traffic the compiler "
      "counts for one round: its time is too low (products and what travels are counted in full)"
    )
  return found
