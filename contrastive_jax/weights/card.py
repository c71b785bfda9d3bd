"""The README.md of an exported folder: a model card of what the run left behind, nothing else."""

import json
import pathlib
import re
import shlex
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from contrastive_jax import config as config_lib
from contrastive_jax import options, reading, stored
from contrastive_jax.weights import twin

_OF_TARGET = "Its weights are those of the target, a moving average of the trained network."
_PLACES = ("path", "root", "names", "index", "listings")  # of the sections of sources


def text(
  run: Mapping[str, Any],
  found: Mapping[str, Any],
  file: str,
  results: list[dict[str, Any]],
) -> str:
  """Returns the card.

  Args:
    run: "config", "step", "command" (of the export), "format", "network" (whose weights they are),
      "timm" (whether it can be loaded there), "images" (of data.json, {} if not known), "knn" (None
      if not measured).
    found: of `preparation.facts`.
    file: of the weights.
    results: of `results_of`.
  """
  config, model = run["config"], found["model"]
  library = "timm" if run["timm"] else "contrastive_jax"
  parts = [
    "---",
    f"library_name: {library}",
    "pipeline_tag: image-feature-extraction",
    "tags:",
    *(f"- {tag}" for tag in ("image-feature-extraction", "contrastive_jax", config.method.name)),
    *(["- timm"] if run["timm"] else []),
    "---",
    "",
    f"# {model['name']}, trained without labels by {config.method.name}",
    "",
    f"The backbone of a run of contrastive_jax, its checkpoint of step {run['step']:,}; the heads",
    "of the method are left out. It maps images to the representation h.",
    *([_OF_TARGET] if run["network"] == "target" else []),
    "",
    "## Training",
    "",
    *_table(("", ""), _training(config, run["images"])),
    "",
    "Options that differ from the defaults of method and network:",
    "",
    "```text",
    *(
      shlex.quote(f"--config.{key}={options.as_flag(value)}")
      for key, value in _changed(config).items()
    ),
    "```",
    "",
    "All of them are in `training_config.json`.",
    "",
    "## Scores",
    "",
    *_scores(results),
    *_of_monitor(config, run["step"], run.get("knn")),
    "",
    "## Images",
    "",
    *_table(("", ""), [(k, json.dumps(v)) for k, v in found.items() if k != "model"]),
    "",
    "## Use",
    "",
    *_use(run, found, file),
    "",
    f"Made by `{run['command']}`.",
    "",
  ]
  return "\n".join(parts)


def is_place(key: str, value: Any) -> bool:
  """Whether an option names a place of one machine, which is of no use elsewhere."""
  if key == "data.folder.labels":
    return "/" in value  # a list; else a word
  return key == "init.path" or bool(re.fullmatch(rf"data\.\w+\.({'|'.join(_PLACES)})", key))


def results_of(workdir: pathlib.Path, network: str = "online") -> list[dict[str, Any]]:
  """Returns the records of evaluations of a run's network, with the checkpoint's step and images.

  `eval --init=FILE --workdir=RUN` leaves scores of other weights there too; they are passed over.
  """
  records, of_other = [], "target" if network == "online" else "checkpoint"
  folder = workdir / "eval"
  for name in sorted(reading.names_in(folder)):
    content = reading.content(folder / name) if name.endswith(".json") else None
    if content is None:
      continue
    try:
      found = stored.parsed(content)
      if found.get("config", {}).get("init", {}).get("path"):
        continue
      shared = {"step": found["checkpoint_step"], "images": found["test"]}
      told = [r for r in found["results"] if "top1" in r and r.get("encoder") != of_other]
      records += [record | shared for record in told]
    except (ValueError, KeyError, TypeError, AttributeError):
      continue  # of a killed evaluation, or no evaluation
  return records


def _training(config: ConfigDict, images: Mapping[str, Any]) -> list[tuple[str, str]]:
  data = f"{config.data.source}, split {config.data.split}"
  name = config.data[config.data.source].get("name") if config.data.source in config.data else None
  count = images.get("images")
  dtype = config.model.get("dtype", "float32")
  rounded = [
    ("precision", f"activations in {dtype}, in training and for the scores; float32 in this file")
  ]
  return [
    ("method", config.method.name),
    (
      "data",
      f"{name or ''} {data}{f', {count:,} images' if isinstance(count, int) else ''}".strip(),
    ),
    ("views", f"recipe {config.augment.recipe}, {config.image_size_px} px"),
    ("epochs", str(config.epochs)) if config.steps is None else ("steps", f"{config.steps:,}"),
    ("batch", str(config.batch_size)),
    ("optimiser", config.optimizer.name),
    *(rounded if dtype != "float32" else []),
  ]


def _changed(config: ConfigDict) -> dict[str, Any]:
  plain = config_lib.pretrain(config.method.name, config.model.name, config.augment.recipe)
  was, now = config_lib.flatten(plain), config_lib.flatten(config)
  named = ("method.name", "model.name", "augment.recipe")
  now = {k: v for k, v in now.items() if v is not None}  # which no flag can say
  now = {k: v for k, v in now.items() if not is_place(k, v)}
  return {k: v for k, v in now.items() if was.get(k) != v or k in named}


def _scores(results: list[dict[str, Any]]) -> list[str]:
  if not results:
    return ["None were measured; `contrastive_jax eval --workdir=...` measures them."]
  rows = [
    (
      record["protocol"],
      f"{record.get('encoder')}, {record.get('layer')}",
      f"{100 * record['top1']:.2f} %",
      f"{record.get('num_train')} / {record.get('num_test')}, {record['images']}",
      f"{record['step']}",
      ", ".join(f"{k} {v}" for k, v in record.get("settings", {}).items()),
    )
    for record in results
  ]
  return _table(
    ("protocol", "encoder, layer", "top-1", "train / test images", "step", "settings"), rows
  )


def _of_monitor(config: ConfigDict, step: int, knn: float | None) -> list[str]:
  """Returns a line on the accuracy that was measured while the run went on."""
  if knn is None:
    return []
  how = config.monitor
  return [
    "",
    f"While training, at step {step:,}: kNN {100 * knn:.1f} % of images held out of the training "
    f"set (k {how.k}, tau {how.temperature:g}, cosine, on h).",
  ]


def _use(run: Mapping[str, Any], found: Mapping[str, Any], file: str) -> list[str]:
  if run["format"] == "onnx":
    return ["Input `images`, output `features`; the batch is free, the size of the images fixed."]
  if run["format"] == "stablehlo":
    lines = ["import jax, pathlib", "", f'content = pathlib.Path("{file}").read_bytes()']
    return _python([*lines, "features = jax.export.deserialize(bytearray(content)).call(images)"])
  if run["format"] == "own":
    return [
      f"`contrastive_jax train --config.init.path={file}`, `contrastive_jax eval --init={file}`."
    ]
  lines = []
  if run["timm"]:
    lines += ["With timm, from this folder:", ""]
    lines += _python(
      ["import timm", "", 'net = timm.create_model("local-dir:.", pretrained=True).eval()']
    )
  if found["model"]["name"].startswith("resnet"):
    lines += ["", "With torchvision:", "", *_python(twin.in_torchvision(found["model"], file))]
  return lines


def _python(lines: list[str]) -> list[str]:
  return ["```python", *lines, "```"]


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
  def line(cells):
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

  return [line(head), "|" + "---|" * len(head), *map(line, rows)]
