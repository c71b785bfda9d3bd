"""Where the time of a run went, from time.jsonl: phases of each session, and work that was lost."""

import json
import pathlib
from typing import NamedTuple

from contrastive_jax import reading

PHASES = {
  "start": "start",
  "compile": "compile",
  "load": "waiting for images",
  "step": "steps",
  "score": "scoring",
  "save": "saving",
}


class Session(NamedTuple):
  """What one process did for a run."""

  command: str
  begun: float  # seconds since 1970
  start_step: int
  last_step: int
  seconds: dict[str, float]  # by phase
  lost_steps: int  # that a later session did again
  lost_seconds: float  # of its steps


def read(path: pathlib.Path) -> list[Session]:
  """Returns the sessions of a run in order; [] if nothing says. Damaged lines are left out."""
  found: dict[float, dict] = {}
  for line in reading.lines(path):
    try:
      values = json.loads((line or b"").decode())
      session = found.setdefault(float(values["session"]), {"seconds": {}, "command": ""})
      session |= {"step": int(values["step"])}
      session |= {k: values[k] for k in ("start_step", "command") if k in values}
      session["seconds"] |= {k: float(v) for k, v in values.get("seconds", {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError):
      continue
  ordered = [(begun, found[begun]) for begun in sorted(found)]
  sessions = []
  for i, (begun, session) in enumerate(ordered):
    start, last = int(session.get("start_step", 0)), session["step"]
    later = [int(other.get("start_step", 0)) for _, other in ordered[i + 1 :]]
    lost = max(0, last - max(start, min(later, default=last)))
    share = lost / (last - start) if last > start else 0.0
    lost_s = share * session["seconds"].get("step", 0.0)
    sessions.append(
      Session(str(session["command"]), begun, start, last, session["seconds"], lost, lost_s)
    )
  return sessions


def totals(sessions: list[Session]) -> dict[str, float]:
  """Returns seconds by phase over all sessions; of steps, what was lost stands by itself."""
  found = {name: sum(s.seconds.get(name, 0.0) for s in sessions) for name in PHASES}
  lost = sum(s.lost_seconds for s in sessions)
  return found | {"step": found["step"] - lost, "lost": lost}


def goodput(sessions: list[Session]) -> float | None:
  """Returns the share of all time in steps that count; None: nothing was measured."""
  found = totals(sessions)
  total = sum(found.values())
  return found["step"] / total if total else None
