"""Where figures come from: versions, hardware, time."""

from collections.abc import Sequence

from contrastive_jax import plural
from contrastive_jax.study import collect
from contrastive_jax.study.tables import NONE, Table

HIDDEN = ("config_sha256", "config_sha256_before", "history")


def versions(runs: Sequence[collect.Run]) -> Table:
  """Returns versions, commit and devices, with all values that some run has."""
  keys = [key for key in _union(run.versions for run in runs) if key not in HIDDEN]
  rows = []
  for key in keys:
    values: dict[str, int] = {}
    for run in runs:
      value = str(run.versions.get(key, "unknown"))
      values[value] = values.get(value, 0) + 1
    several = len(values) > 1
    rows.append(
      [key, ", ".join(f"{v} ({plural.of(n, 'run')})" if several else v for v, n in values.items())]
    )
  return Table("Versions and hardware", ["of", "value"], rows)


def devices(run: collect.Run) -> tuple[str, int]:
  """Returns kind and number of a run's devices, ("unknown", 1) if nothing tells."""
  told = run.state.get("devices")
  told = told if isinstance(told, dict) else {}
  kind = told.get("kind") or run.versions.get("device_kind") or "unknown"
  count = told.get("count") or run.versions.get("device_count")
  return str(kind), count if isinstance(count, int) else 1


def device_hours(runs: Sequence[collect.Run]) -> dict[str, float]:
  """Returns the hours of each kind of device: time of every run by its number of devices."""
  hours: dict[str, float] = {}
  for run in runs:
    kind, count = devices(run)
    hours[kind] = hours.get(kind, 0.0) + (collect.seconds(run) or 0.0) * count / 3600
  return hours


def clock(seconds: float | None) -> str:
  """Returns a time as h:mm:ss."""
  if seconds is None:
    return NONE
  minutes, rest = divmod(round(seconds), 60)
  return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _union(mappings) -> list[str]:
  """Returns the keys of all, in order of appearance."""
  return list(dict.fromkeys(key for mapping in mappings for key in mapping))
