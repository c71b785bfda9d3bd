"""Bytes of a manifest, and the time to read it, of a state on many devices; a row of a table each.

python benchmarks/manifest_size.py [--processes=1024] [--devices=4]

ViT-L's leaves and AdamW's two averages of each; one that all devices divide is cut over them, the
others lie in a row of which each process writes a stretch, as `workdir.shares` has it. Digests are
random: nothing is written but the manifest. "before" is its form 2, with a piece a device.
"""

import collections
import pathlib
import secrets
import tempfile
import time

import jax
import jax.numpy as jnp
from absl import app, flags

from contrastive_jax.models import vit
from contrastive_jax.workdir import boxes, manifest, part_files, state_files

_PROCESSES = flags.DEFINE_integer("processes", 1024, "Of the run.")
_DEVICES = flags.DEFINE_integer("devices", 4, "Of each process.")
_HEADER = 64


def leaves() -> dict[str, dict]:
  """Returns {name: shape and type} of weights and averages."""
  net = vit.vit_large()
  x = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
  params = jax.eval_shape(lambda x: net.init(jax.random.key(0), x, train=False), x)["params"]
  flat, _ = jax.tree_util.tree_flatten_with_path(params)
  found = {}
  for item in ("params", "opt_state.mu", "opt_state.nu"):
    for path, leaf in flat:
      found[".".join([item, *(str(k.key) for k in path)])] = manifest.form(leaf)
  return found


def tables(forms: dict, parts_of_process: int) -> dict[str, part_files.Table]:
  """Returns the tables of all files; a leaf that is cut has so many pieces in each."""
  processes = _PROCESSES.value
  parts = processes * parts_of_process
  whole, files = [], collections.defaultdict(list)
  for name, form in forms.items():
    axes = [i for i, size in enumerate(form["shape"]) if size % (processes * _DEVICES.value) == 0]
    if not axes:
      whole.append(name)
      continue
    axis, box = axes[0], boxes.whole(form["shape"])
    each = form["shape"][axis] // parts
    for part in range(parts):
      cut = boxes.cut(box, axis, part * each, (part + 1) * each)
      files[f"parts/{part // parts_of_process}/{_item(name)}.safetensors"].append((name, cut))
  for place, name in enumerate(whole):
    process = place * processes // len(whole)
    box = boxes.whole(forms[name]["shape"])
    files[f"parts/{process}/{_item(name)}.safetensors"].append((name, box))
  return {name: _table(pieces) for name, pieces in files.items()}


def _item(name: str) -> str:
  return "model" if name.startswith("params") else "training"


def _table(cut: list) -> part_files.Table:
  offset, pieces = _HEADER, []
  for leaf, box in cut:
    count = sum(1 for _ in boxes.blocks(box, part_files.BLOCK_BYTES // 4))
    digests = [secrets.token_hex(16) for _ in range(count)]
    pieces.append(part_files.Piece(leaf, box, offset, digests))
    offset += 4 * box.size
  header = [_HEADER, secrets.token_hex(16)]
  return {
    "bytes": offset, "block_bytes": part_files.BLOCK_BYTES, "header": header, "pieces": pieces
  }  # fmt: skip


def main(argv: list[str]) -> None:
  del argv
  forms = leaves()
  for what, parts in (("before", _DEVICES.value), ("now", 1)):
    files = tables(forms, parts)
    listed = manifest.compose(1, None, {}, forms, files)
    if what == "before":
      listed = {k: v for k, v in listed.items() if k != "sha256"} | {"form": 2, "files": files}
      listed |= {"sha256": manifest._digest_of_text(listed)}
    with tempfile.TemporaryDirectory() as folder:
      manifest.write(pathlib.Path(folder), listed)
      size = (pathlib.Path(folder) / manifest.NAME).stat().st_size
      begun = time.process_time()
      state_files.reader(pathlib.Path(folder), manifest.read(pathlib.Path(folder)))
      took = time.process_time() - begun
    count = sum(len(table["pieces"]) for table in files.values())
    print(f"| {what} | {count:,} | {size / 1e6:.1f} MB | {took:.1f} s |", flush=True)


if __name__ == "__main__":
  app.run(main)
