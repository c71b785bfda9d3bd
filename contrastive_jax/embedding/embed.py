"""Features of images as a file: bounded memory, and a killed command goes on where it was.

Rows are appended to a folder beside the file, `FILE.parts`, piece by piece; when all are there the
file is made of them and the folder goes. Process 0 alone writes.
"""

import contextlib
import logging
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import xxhash
from jaxtyping import PyTree
from ml_collections import ConfigDict

from contrastive_jax import config as config_lib
from contrastive_jax import data, errors, places, plural
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.data import identity
from contrastive_jax.embedding import pieces, table
from contrastive_jax.embedding.kept import Kept
from contrastive_jax.processes import agree, hosts
from contrastive_jax.processes.preemption import Preemption

# Of an evaluation's config: what a feature depends on.
_KEYS = ("layers", "network", "image_size_px", "batch_size", "max_features", "patch_grid")


def run(
  config: ConfigDict,
  workdir: str,
  out: str,
  *,
  images: str = "config",
  split: str = "train",
  devices: list[jax.Device] | None = None,
) -> pathlib.Path:
  """Writes the features of all images of a split; arguments are those of `pieces.opened`.

  Args:
    out: the file, which ends in .npz, .safetensors or .parquet; one that is there is replaced.

  Returns:
    The file.

  Raises:
    UserError: config, workdir, images or `out` cannot work, or a feature is not finite.
    SaveFailed: the rows or the file could not be written; the same call goes on.
    Preempted: SIGTERM; the same.
  """
  path = pathlib.Path(out)
  with Preemption() as preemption, hosts.losses_named():
    with agree.mistakes_shared():
      table.check(path)
      places.check_folder(path.parent, "--out", "give another --out")
    asked = pieces.opened(config, workdir, images, split, devices)
    question = _question(asked)
    versions = workdir_lib.versions()
    agree.check_equal(question | versions)
    total = len(asked.split.source)
    with contextlib.ExitStack() as stack:
      kept = None
      with agree.mistakes_shared():
        if jax.process_index() == 0:
          folder = path.with_name(f"{path.name}.parts")
          kept = stack.enter_context(Kept(folder, question, asked.widths, total, versions))
      (done,) = agree.first_process_says([kept.images if kept else 0])
      _tell(asked, done, total)
      if kept and kept.changes and done < total:
        logging.getLogger(__name__).warning(
          "warning: other than for the first %s: %s; the file's history has both",
          *(plural.of(done, "image"), "; ".join(kept.changes)),
        )
      if done < total:
        _compute(asked, kept, done, total, preemption)
      with agree.mistakes_shared():
        if kept:
          table.write(path, _table(asked, kept, question))
          kept.remove()
          _tell_what_is_there(path, kept)
  return path


def _compute(
  asked: pieces.Asked, kept: Kept | None, done: int, total: int, preemption: Preemption
) -> None:
  for found in pieces.over(asked, done):
    done = min(total, done + len(found.index) + found.replaced)
    with agree.mistakes_shared():
      if kept:
        rows = {**found.layers, "label": found.label, "index": found.index}
        kept.add(rows, done, found.replaced)
    if done < total and preemption.requested(asked.mesh):
      raise errors.Preempted(
        f"SIGTERM: the features of {done:,} of {total:,} images are kept; the same command goes on "
        "from there"
      )


def _question(asked: pieces.Asked) -> dict[str, Any]:
  """Returns what tells these features from others, by key."""
  flat = config_lib.flatten(asked.config)
  found = {key: flat[key] for key in _KEYS} | {"patch_fraction": flat["patch_fraction"]}
  return found | {
    "batch": asked.batch_size,
    "checkpoint_step": asked.loaded.step,
    "weights": _digest((asked.loaded.params, asked.loaded.stats)),
    "split": asked.split.name,
    "images": identity.of(asked.split.source),
    "size_px": asked.split.view.size_px,
  }


def _digest(tree: PyTree) -> str:
  total = xxhash.xxh3_128()
  for leaf in jax.tree.leaves(tree):
    total.update(memoryview(leaf).cast("B") if leaf.size else b"")
  return total.hexdigest()


def _table(asked: pieces.Asked, kept: Kept, question: dict[str, Any]) -> table.Table:
  source = asked.split.source
  about = {k: v for k, v in question.items() if k != "images"}
  about |= {"method": asked.loaded.config.method.name, "model": asked.loaded.config.model.name}
  about |= {"unreadable": kept.replaced, "versions": workdir_lib.versions()}
  about |= {"history": kept.history} if len(kept.history) > 1 else {}
  return table.Table(
    kept.rows,
    tuple(asked.config.layers),
    asked.widths,
    kept.read,
    names(source),
    source.label_names,
    about,
  )


def names(source: data.Source) -> Callable[[int], str]:
  """Returns what names an image by its index: its path in the folder, or the index itself."""
  listing = getattr(source, "listing", None)
  return str if listing is None else lambda index: listing[index]


def _tell(asked: pieces.Asked, done: int, total: int) -> None:
  widths = ", ".join(f"{name} ({width} numbers)" for name, width in asked.widths.items())
  logging.getLogger(__name__).info(
    "features of %s of %s at step %d: %s%s",
    *(plural.of(total, "image"), asked.split.name, asked.loaded.step, widths),
    f"; goes on after {done:,}" if done else "",
  )


def _tell_what_is_there(path: pathlib.Path, kept: Kept) -> None:
  left_out = f"; {kept.replaced:,} unreadable image(s) left out" if kept.replaced else ""
  print(f"{plural.of(kept.rows, 'row')} in {path}{left_out}", flush=True)
