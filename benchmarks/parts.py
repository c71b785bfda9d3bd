"""Saves a state on some processes and devices and restores it on others; two Markdown tables.

python benchmarks/parts.py [--rows=32768]

The state of tests/parts.py, 604 MB: its large leaves cut over the devices ("in parts"), or whole on
each. For every topology: what each process wrote, and by how much its memory grew while it saved.
Then, for a state in parts, all pairs: by how much the memory of a process grew while it restored,
what its devices hold included, for these are CPU devices; "exact" if every number on every device
has the bits that it was made with. Of several processes the largest figure is given.
"""

import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))

import parts
from absl import app, flags

_ROWS = flags.DEFINE_integer("rows", 32768, "Of the large leaves.")
NAMES = {topology: f"{topology[0]}×{topology[1]}" for topology in parts.TOPOLOGIES}


def megabytes(*numbers: float) -> str:
  return " + ".join(f"{number / 1e6:.0f}" for number in numbers)


def saved(workdir: pathlib.Path, topology: tuple[int, int], in_parts: bool) -> str:
  """Saves a state; returns a row."""
  workdir.mkdir()
  told = parts.run(workdir, *topology, rows=_ROWS.value, in_parts=in_parts, save=[1])
  folders = [workdir / "checkpoints" / "1" / "parts" / str(p) for p in range(topology[0])]
  written = (sum(f.stat().st_size for f in folder.iterdir()) for folder in folders)
  held = max(each["device_bytes"] for each in told)
  grown = max(each["host_bytes"] for each in told)
  kind = "in parts" if in_parts else "whole on each"
  cells = (kind, NAMES[topology], megabytes(held), megabytes(*written), megabytes(grown))
  return f"| {' | '.join(cells)} |"


def restored(workdir: pathlib.Path, topology: tuple[int, int]) -> str:
  """Returns a cell."""
  told = parts.run(workdir, *topology, rows=_ROWS.value, in_parts=True)
  exact = all(each["step"] == 1 and not each["differences"] for each in told)
  grown = max(each["host_bytes"] for each in told)
  return f"{'exact' if exact else 'DIFFERENT'}, {megabytes(grown)}"


def main(_) -> None:
  with tempfile.TemporaryDirectory() as scratch:
    root = pathlib.Path(scratch)
    print("| state | processes × devices of each | its devices hold | wrote, MB | grew by, MB |")
    print("|---|---|--:|--:|--:|")
    for topology in parts.TOPOLOGIES:
      print(saved(root / NAMES[topology], topology, True), flush=True)
    for topology in parts.TOPOLOGIES:
      print(saved(root / "whole", topology, False), flush=True)
      shutil.rmtree(root / "whole")
    print("\n| saved on | " + " | ".join(f"on {name}" for name in NAMES.values()) + " |")
    print("|---" * (1 + len(NAMES)) + "|")
    for name in NAMES.values():
      cells = (restored(root / name, other) for other in parts.TOPOLOGIES)
      print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
  app.run(main)
