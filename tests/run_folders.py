"""Folders of runs with made-up figures: what a study or a comparison reads, without training."""

import json
import math

VERSIONS = {"jax": "0.10.2", "contrastive_jax": "0.1.0", "device_kind": "cpu", "device_count": 2}


def write_run(folder, *, top1, steps=8, epochs=2, num_test=1000, config=(), held_out=None):
  """Writes a run with an evaluation by kNN on h; `top1` None: it was not scored."""
  folder.mkdir(parents=True)
  whole = {"epochs": epochs, "batch_size": 32, "method": {"name": "simclr"}} | dict(config)
  (folder / "config.json").write_text(json.dumps(whole))
  (folder / "versions.json").write_text(json.dumps(VERSIONS))
  lines = [
    {
      "step": step,
      "epoch": epochs * step / steps,
      "loss": 5 * math.exp(-step / steps),
      "contrastive_accuracy": step / steps,
      "time": 100.0 + step,
    }
    for step in range(1, steps + 1)
  ]
  if top1 is not None:
    lines.append({"step": steps, "knn_top1": top1, "time": 101.0 + steps})
  (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
  for name, value in (("knn", top1), ("held_out", held_out)):
    if value is not None:
      write_result(folder, name, value, num_test)


def write_result(folder, name, top1, num_test=1000, file=None, step=8, **record):
  """Writes the file of an evaluation with one record."""
  found = {"protocol": "knn", "layer": "h", "encoder": "checkpoint", "num_test": num_test}
  found |= {"top1": top1, "top5": 1.0} | record
  data = {"held_out": True} if name == "held_out" else {}
  content = {"name": name, "complete": True, "checkpoint_step": step, "results": [found]}
  (folder / "eval").mkdir(exist_ok=True)
  path = folder / "eval" / (file or f"{name}.json")
  path.write_text(json.dumps(content | {"config": {"data": data}}))


def write_cell(root, cell, *, state="done", seconds=60.0, error=None, **run):
  """Writes the folder of a cell and what the study noted of it."""
  folder = root / "cells" / cell.name
  write_run(folder, config={"seed": cell.seed}, **run)
  record = {"labels": cell.labels, "seed": cell.seed, "state": state, "seconds": seconds}
  record |= {"devices": {"kind": "cpu", "count": 2}} | ({"error": error} if error else {})
  (folder / "cell.json").write_text(json.dumps(record))
