"""Plans as a readable text, and several of them as a table and a plot."""

import io
import pathlib

from contrastive_jax import places, plural
from contrastive_jax.plan.figures import GIB


def text(plan: dict) -> str:
  """Returns one plan, a line for each figure and one for each kind of traffic."""
  memory, limit = plan["memory"], plan["memory_limit"]
  rows = [
    ("devices", f"{plan['devices']} x {plan['device_kind']}"),
    ("batch", f"{plural.of(plan['batch_size'], 'image')}, {plan['images_per_chip']:g} a chip"),
    ("schedule", f"{plural.of(plan['epochs'], 'epoch')}, {plural.of(plan['steps'], 'step')}"),
    ("parameters", f"{plan['parameters']:,}"),
    ("step", _as_compiled(plan)),
    *(("loss", line) for line in plan["choices"]),
  ]
  if "total" in memory:
    parts = ", ".join(f"{k} {memory[k] / GIB:.3f}" for k in memory if k != "total")
    rows.append(("memory a chip", f"{memory['total'] / GIB:.3f} GiB ({parts})"))
    if limit:
      rows.append(("headroom", f"{plan['headroom'] / GIB:.2f} of {limit / GIB:.2f} GiB"))
  if "flops" in plan:
    each, whole = plan["flops"] / 1e9, plan["flops_undivided"] / 1e9
    share = f"share of ideal {plan['share_of_ideal_flops']:.3f}"
    what = f"{each:,.1f} GFLOP a step, undivided {whole:,.1f}, {share}"
    rows.append(("arithmetic a chip", what))
    for name, sums in plan["traffic"].items():
      what = f"{sums['collectives']} collectives, {sums['bytes'] / 1e6:,.3f} MB a step"
      rows.append((f"travel: {name}", what))
    if plan["seconds"]:
      parts = (f"{name} {plan['seconds'][name] * 1e3:.2f} ms" for name in _TIMES)
      rows.append(("least times", ", ".join(parts)))
      rows.append(("whole schedule", f"at least {plan['hours_at_least']:.2f} hours"))
    rows.append(("compiled in", f"{plan['compile_seconds']:.0f} s"))
  width = max(len(name) for name, _ in rows)
  lines = [f"{plan['topology']}", *(f"  {name.ljust(width)}  {value}" for name, value in rows)]
  lines += [f"  WARNING: {line}" for line in plan["warnings"]]
  return "\n".join(lines) + "\n"


def _as_compiled(plan: dict) -> str:
  parts = f"in {plan['micro_batches']} micro-batches" if plan["micro_batches"] > 1 else "undivided"
  blocks = "recomputed" if plan["remat"] else "stored"
  return f"as the config is: {parts}, blocks {blocks}; fit_memory, of training, is not applied"


_TIMES = ("arithmetic", "memory", "network")


def table(plans: list[dict]) -> str:
  """Returns the scaling table, in Markdown; a dash where there is no figure."""
  head = (
    "topology | batch | images a chip | GiB a chip | share of ideal | arithmetic ms | memory ms"
  )
  head += " | network ms | steps | hours at least | warnings"
  lines = [f"| {head} |", "|" + "--:|" * (head.count("|") + 1)]
  for plan in plans:
    memory, seconds = plan["memory"].get("total"), plan.get("seconds") or {}
    cells = [
      plan["topology"],
      f"{plan['batch_size']}",
      f"{plan['images_per_chip']:g}",
      _cell(memory and memory / GIB, 2),
      _cell(plan.get("share_of_ideal_flops"), 3),
      *(_cell(seconds.get(name) and seconds[name] * 1e3, 2) for name in _TIMES),
      f"{plan['steps']}",
      _cell(plan.get("hours_at_least"), 2),
      f"{len(plan['warnings'])}",
    ]
    lines.append("| " + " | ".join(cells) + " |")
  return "\n".join(lines) + "\n"


def plot(plans: list[dict], path: pathlib.Path) -> None:
  """Draws least times and memory over the number of chips, one line for each batch size."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(9, 3.6), layout="constrained")
  times, memory = figure.subplots(1, 2)
  batches = sorted({plan["batch_size"] for plan in plans})
  for i, batch in enumerate(batches):
    of_batch = sorted((p for p in plans if p["batch_size"] == batch), key=lambda p: p["devices"])
    chips = [plan["devices"] for plan in of_batch]
    for name, style in zip(_TIMES, ("-", "--", ":"), strict=True):
      timed = [(plan["devices"], plan["seconds"][name] * 1e3) for plan in of_batch if _timed(plan)]
      if timed:
        times.plot(
          *zip(*timed, strict=True), style, marker="o", color=f"C{i}", label=f"{batch}: {name}"
        )
    total = [plan["memory"].get("total", float("nan")) / GIB for plan in of_batch]
    memory.plot(chips, total, "-o", color=f"C{i}", label=f"batch {batch}")
  limits = {plan["memory_limit"] for plan in plans if plan["memory_limit"]}
  for limit in limits:
    memory.axhline(limit / GIB, color="black", linewidth=1, linestyle="--")
  times.set(xlabel="chips", ylabel="least time of a step, ms", xscale="log", yscale="log")
  memory.set(xlabel="chips", ylabel="GiB a chip (dashed: limit)", xscale="log", ylim=0)
  for axes in (times, memory):
    ticks = sorted({plan["devices"] for plan in plans})
    axes.set_xticks(ticks, [str(t) for t in ticks])
    axes.minorticks_off()
    if axes.lines:
      axes.legend(fontsize="small")
  drawn = io.BytesIO()
  figure.savefig(drawn, format="png", dpi=120)
  places.write(path, drawn.getvalue())


def _timed(plan: dict) -> bool:
  return bool(plan.get("seconds"))


def _cell(value: float | None, digits: int) -> str:
  return "-" if value is None else f"{value:.{digits}f}"
