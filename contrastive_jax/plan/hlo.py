"""The collectives and the loops of a compiled program, read from its text."""

import dataclasses
import math
import re
from collections import defaultdict

KINDS = (
  "all-gather",
  "all-reduce",
  "reduce-scatter",
  "all-to-all",
  "collective-permute",
  "collective-broadcast",
  "ragged-all-to-all",
)
_ITEM_BYTES = {"pred": 1, "token": 0, "c64": 8, "c128": 16}  # others say their bits: f32, bf16, u8

_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
_COLLECTIVE = re.compile(rf"%?([\w.\-]+) = (.*?) ({'|'.join(KINDS)})(-start)?\(")
_SHAPE = re.compile(r"\b([a-z]\w*)\[([\d,]*)\]")
_CALLED = re.compile(r"\b(calls|to_apply|body|condition|\w+_computation)=%?([\w.\-]+)")
_CALLED_LIST = re.compile(r"\b(?:branch|called)_computations=\{([^}]*)\}")
_PRODUCT = re.compile(r" (dot|convolution)\(")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_BOUND = re.compile(r"= s32\[\]\S* constant\((\d+)\)")


@dataclasses.dataclass(frozen=True)
class Item:
  """One array that a collective carries: element type as XLA writes it, and shape."""

  dtype: str
  shape: tuple[int, ...]

  @property
  def bytes(self) -> int:
    bits = re.search(r"\d+", self.dtype)
    item = _ITEM_BYTES.get(self.dtype, int(bits.group()) / 8 if bits else 0)
    return math.ceil(item * math.prod(self.shape))

  def __str__(self) -> str:
    return f"{self.dtype}[{','.join(map(str, self.shape))}]"


@dataclasses.dataclass(frozen=True)
class Collective:
  """One communication, as every device takes part in it.

  Attributes:
    kind: one of `KINDS`.
    items: results on one device (of all devices together for a gather).
    group: devices that communicate with each other.
    times: how often a step does it (more than once in a loop).
    op: path of the operation that asked for it; "" where XLA has merged several.
  """

  kind: str
  items: tuple[Item, ...]
  group: int
  times: int
  op: str

  def wire_bytes(self, item: Item) -> float:
    """Returns what each device must at least send for an item, in a step (ring algorithms)."""
    others = self.group - 1
    share = {
      "all-reduce": 2 * others / self.group,
      "reduce-scatter": others,  # the result is one share of what goes in
      "all-gather": others / self.group,
      "all-to-all": others / self.group,
    }
    return self.times * item.bytes * share.get(self.kind, 1 if others else 0)


def collectives(text: str, num_devices: int) -> list[Collective]:
  """Returns the collectives of a compiled module, `compiled.as_text()`."""
  computations, times = executions(text)
  found: dict[tuple, Collective] = {}
  for name, lines in computations.items():
    for line in lines:
      match = _COLLECTIVE.match(line)
      if not match or not times[name]:
        continue
      label, result, kind, start = match.groups()
      items = [Item(t, tuple(map(int, filter(None, s.split(","))))) for t, s in _shapes(result)]
      if start and kind != "all-reduce":  # (operands, results, flags)
        items = [i for i in items if i.dtype != "u32" or i.shape]
        items = items[len(items) // 2 :]
      op = re.search(r'op_name="([^"]*)"', line)
      # The TPU compiler writes one gather as a chain of pieces, between other work.
      chain = re.search(r'chain_id="(\d+)"', line)
      key = (kind, chain.group(1)) if chain else (name, label)
      found.setdefault(
        key,
        Collective(
          kind, tuple(items), _group(line, num_devices), times[name], op.group(1) if op else ""
        ),
      )
  return [c for c in found.values() if c.group > 1]


def executions(text: str) -> tuple[dict[str, list[str]], dict[str, int]]:
  """Returns the instructions of each computation by its name, and how often a step runs it."""
  computations, entry = _computations(text)
  return computations, _executions(computations, entry)


def longest_loop(text: str) -> int:
  """Returns the most rounds of a loop with matrix products or convolutions; 1: there is none."""
  computations, times = executions(text)
  heavy = (n for n, ls in computations.items() if any(_PRODUCT.search(line) for line in ls))
  return max((times[name] for name in heavy), default=1)


def _computations(text: str) -> tuple[dict[str, list[str]], str]:
  """Returns the instructions of each computation by its name, and the name of the entry."""
  computations: dict[str, list[str]] = {}
  entry, lines = "", []
  for line in text.splitlines():
    header = _COMPUTATION.match(line)
    if header:
      lines = computations[header.group(2)] = []
      entry = header.group(2) if header.group(1) else entry
    else:
      lines.append(line.strip().removeprefix("ROOT "))
  return computations, entry


def _executions(computations: dict[str, list[str]], entry: str) -> dict[str, int]:
  """Returns how often each computation runs in a step; a branch counts as taken."""
  times: dict[str, int] = defaultdict(int)
  times[entry] = 1
  for name in reversed(computations):  # callers come after what they call
    for line in computations[name]:
      if "=" not in line or not times[name]:
        continue
      called = _CALLED.findall(line)
      for names in _CALLED_LIST.findall(line):
        called += [("branch", n.strip().lstrip("%")) for n in names.split(",")]
      rounds = _rounds(line, dict(called), computations)
      for how, callee in called:
        if callee != name:
          times[callee] += times[name] * (rounds if how in ("body", "condition") else 1)
  return times


def _rounds(line: str, called: dict[str, str], computations: dict[str, list[str]]) -> int:
  """Returns the rounds of a loop: as the compiler knows them, else the bound in its condition."""
  known = _TRIPS.search(line)
  if known:
    return int(known.group(1))
  condition = computations.get(called.get("condition", ""), [])
  bounds = [int(b) for text in condition for b in _BOUND.findall(text)]
  return bounds[0] if len(bounds) == 1 else 1


def _shapes(result: str) -> list[tuple[str, str]]:
  return _SHAPE.findall(re.sub(r"\{[^}]*\}|/\*.*?\*/", "", result))


def _group(line: str, num_devices: int) -> int:
  """Returns the size of the groups, of which XLA has several notations."""
  listed = re.search(r"replica_groups=\{\{([\d,]+)\}", line)
  if listed:
    return len(listed.group(1).split(","))
  iota = re.search(r"replica_groups=\[\d+,(\d+)\]<=", line)
  if iota:
    return int(iota.group(1))
  mesh = re.search(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}", line)
  if mesh:
    sizes = dict(re.findall(r"'(\w+)'=(\d+)", mesh.group(1)))
    return math.prod(int(sizes[axis]) for axis in re.findall(r"'(\w+)'", mesh.group(2)))
  return num_devices
