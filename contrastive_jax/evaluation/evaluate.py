"""Evaluation of a frozen encoder: a run's checkpoint in, one line and one JSON record a result out.

  from contrastive_jax.evaluation import config as eval_config
  from contrastive_jax.evaluation import evaluate
  found = evaluate.run(eval_config.evaluation("knn"), "runs/first")

Features of every image are extracted once for each encoder (the run's and, if asked, baselines);
every protocol then scores every layer. The results are also in WORKDIR/eval/NAME.json, or in
another folder, each as soon as it is there; see `result_files` for a second evaluation of that
name. Nothing else is written: with another folder a run may lie where one can only read.
"""

import contextlib
import dataclasses
import logging
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from contrastive_jax import (
  augment,
  build,
  compiling,
  errors,
  export_names,
  keys,
  parallel,
  plural,
  run_images,
)
from contrastive_jax import config as config_lib
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.buckets import address, results
from contrastive_jax.data import given as given_lib
from contrastive_jax.data import identity
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.evaluation import features, initial, protocols, result_files
from contrastive_jax.evaluation import images as eval_images
from contrastive_jax.evaluation.protocols import Encoder, Task, extract, say
from contrastive_jax.models.network import Network
from contrastive_jax.processes import agree, hosts
from contrastive_jax.workdir import bucket, loading


def run(
  config: ConfigDict | None,
  workdir: str | None,
  devices: list[jax.Device] | None = None,
  out: str | None = None,
  given: given_lib.Images | None = None,
) -> dict[str, Any]:
  """Scores the checkpoint of `workdir` and writes WORKDIR/eval/NAME.json.

  Where that file answers another question it is kept, and this one is NAME-2.json, ...

  Args:
    config: from a file in `configs/eval/`, or `eval_config.evaluation()`; None is the latter.
    workdir: of a training run, local or in a bucket; None with `config.init.path`: no run.
    devices: all by default.
    out: folder of what is written, likewise, made if missing; None: WORKDIR/eval, without a
      workdir NAME/eval for weights of that name.
    given: images of the source "given", by split; they stand for those of any other.

  Returns:
    What the file holds: settings, versions, counts, and `results`, a list of records with the keys
    protocol, encoder, layer, settings, and top1, top5, mean_per_class and per_class in [0, 1].
    `file` is its name.

  Raises:
    UserError: config, workdir or data cannot work.
    SaveFailed: the results could not be written; those that were there are printed.
    PeerLost: another process is gone.
  """
  with hosts.losses_named():
    config = config or eval_config.evaluation()
    place = out or os.path.join(workdir or place_of(config.init.path), "eval")
    if not address.is_bucket(place):
      return _run(config, workdir, devices, pathlib.Path(place), place, lambda: None, given)
    with contextlib.ExitStack() as stack:
      with bucket.together():
        to = address.parsed(place, "--out" if out else "workdir")
        folder, put = stack.enter_context(results.folder(to, "--out" if out else "workdir"))
      return _run(config, workdir, devices, folder, place, put, given)


def place_of(path: str) -> str:
  """Returns the folder of results of weights without a run: of their name, where the user is.

  An export's file has the name of all exports: there it is the name of the run and of the form, or
  that of the folder that somebody gave it.
  """
  if not path:
    raise errors.UserError("there is no workdir; give one, or weights: --init=FILE")
  named = pathlib.PurePath(path.rstrip("/"))
  if named.name != export_names.WEIGHTS:
    return named.stem
  folder = named.parent if address.is_bucket(path) else pathlib.Path(path).absolute().parent
  if folder.parent.name == export_names.FOLDER and folder.parent.parent.name:
    return f"{folder.parent.parent.name}_{folder.name}"
  return folder.name or named.stem


def _run(
  config: ConfigDict,
  workdir: str | None,
  devices: list[jax.Device] | None,
  folder: pathlib.Path,
  place: str,
  put: Callable[[], None],
  given: given_lib.Images | None,
) -> dict[str, Any]:
  """Writes to a local `folder`, which stands for `place`, where `put` brings what is new."""
  config, options = eval_config.resolve(config)
  result_files.check_place(folder)
  agree.check_equal(config_lib.flatten(config) | workdir_lib.versions())
  mesh = parallel.make_mesh(devices)
  with agree.mistakes_shared():
    loaded = load(workdir, config)
  if given and not config.data.source and loaded.config.data.source != "given":
    config.data.source = "given"
  images = run_images.in_turn(lambda: eval_images.load(config, loaded.config, given))
  with agree.mistakes_shared():
    facts = _facts(loaded, images) if jax.process_count() > 1 else {}
  agree.check_equal(facts)
  _check(config, options, loaded, images, mesh)
  todo = _todo(config, options)
  _prepare(folder, todo, images.num_classes)
  asked = config.to_dict()
  # Process 0 may be writing when another looks: all take its word.
  stem = agree.texts(result_files.stem(folder, config.name, asked, loaded.step))[0]
  path = folder / f"{stem}.json"
  found = {
    "name": config.name,
    "file": path.name,
    "complete": False,
    "checkpoint_step": loaded.step,
    "train": images.train_name,
    "test": images.test_name,
    "label_names": list(images.label_names),
    "results": [],
    "config": asked,
    "versions": workdir_lib.versions(),
  }
  _tell_what_comes(todo, images)
  for encoder in encoders(config, loaded, images.view):
    train, test = (extract(encoder, s, images, mesh) for s in (images.train, images.test))
    if not set(options) <= eval_config.NEED_NO_LABELS:
      train = features.labelled(train, images.train_name)
      test = features.labelled(test, images.test_name)
      if encoder.name == "checkpoint" and not images.classes_known:
        names = images.train_name, images.test_name, images.label_names
        eval_images.check_classes(train.label, test.label, *names)
    for layer in encoder.layers:
      task = Task(encoder, layer, train, test, images, mesh, config.seed, folder / stem)
      for protocol, settings in options.items():
        if (encoder.name, layer, protocol) not in todo:
          continue
        record = _record(task, protocol, settings, getattr(protocols, protocol)(task, settings))
        found["results"].append(record)
        if jax.process_index() == 0:  # now: what comes later may fail, and be it the next line
          result_files.write(path, found, put)
        count = f"{len(found['results']):>{len(str(len(todo)))}} of {len(todo)}"
        say(f"{count}  {_line(record, settings)}")
  found["complete"] = True
  if jax.process_index() == 0:
    result_files.write(path, found, put)
  _tell(os.path.join(place, path.name), config.name)
  return found


def load(workdir: str, config: ConfigDict) -> loading.Run:
  """Returns the weights that an evaluation asks for. Raises `UserError`, `ReadFailed`."""
  if config.init.path:
    return initial.run(config, workdir)
  loaded = loading.load_run(workdir, config.checkpoint_step, config.network)
  file = str(pathlib.Path(workdir) / "config.json")
  build.check_stored(
    loaded.config, loaded.params, loaded.stats, file, partly=config.network == "target"
  )
  return loaded


def _facts(loaded: loading.Run, images: eval_images.Images) -> dict[str, object]:
  """What must be the same on every process, beside config and versions."""
  facts = {"checkpoint": loaded.step} | identity.facts("training", images.train)
  return facts | identity.facts("test", images.test)


def _check(
  config: ConfigDict,
  options: dict[str, Any],
  loaded: loading.Run,
  images: eval_images.Images,
  mesh: Mesh,
) -> None:
  """Raises `UserError` for what would else be found after the features were computed."""
  for settings in options.values():
    settings.check(len(images.train), mesh.size)
  net, size_px = _net(config, loaded), images.view.size_px
  features.check_layers(
    net, loaded.params, loaded.stats, config.layers, size_px, images.view.channels
  )
  encoder = of_net(config, loaded)
  view = jax.ShapeDtypeStruct((1, size_px, size_px, images.view.channels), jnp.float32)
  jax.eval_shape(encoder, {"params": loaded.params, "stats": loaded.stats}, view)


def _prepare(folder: pathlib.Path, todo: list[tuple[str, str, str]], num_classes: int) -> None:
  """Tries the place of the results, before any is computed, on the process that writes them."""
  pictures = sum(protocol == "picture" for _, _, protocol in todo)
  with agree.mistakes_shared():
    if jax.process_index() == 0:
      result_files.prepare(folder, len(todo), num_classes, pictures)


def _todo(config: ConfigDict, options: dict[str, Any]) -> list[tuple[str, str, str]]:
  """Returns encoder, layer and protocol of all results to come; pixels have no weights to tune."""
  layers = {name: config.layers for name in (_name(config), *config.baselines)}
  layers |= {"raw_pixels": ("pixels",)} if "raw_pixels" in layers else {}
  return [
    (encoder, layer, protocol)
    for encoder, names in layers.items()
    for layer in names
    for protocol in options
    if (encoder, protocol) != ("raw_pixels", "finetune")
  ]


def _tell_what_comes(todo: list[tuple[str, str, str]], images: eval_images.Images) -> None:
  encoders, layers, protocols = (
    ", ".join(dict.fromkeys(names)) for names in zip(*todo, strict=True)
  )
  logging.getLogger(__name__).info(
    "%d result(s) to come: %s; layers %s; %s; %s and %s",
    *(len(todo), encoders, layers, protocols),
    plural.of(len(images.train), "training image"),
    plural.of(len(images.test), "test image"),
  )


def _tell(path: str, name: str) -> None:
  """Says where the results are; aloud where that is not the file that the name promises."""
  log = logging.getLogger(__name__)
  if os.path.basename(path) == f"{name}.json":
    log.info("results are in %s", path)
  else:
    log.warning(
      "results are in %s: %s.json is of another evaluation and is kept; --config.name gives "
      "this one a name of its own",
      path,
      name,
    )


def encoders(config: ConfigDict, loaded: loading.Run, view: augment.Recipe) -> Iterator[Encoder]:
  """Returns the run's encoder and the baselines asked for."""
  encoder, layers = of_net(config, loaded), config.layers
  net = encoder.net
  variables = {"params": loaded.params, "stats": loaded.stats}
  yield Encoder(_name(config), encoder, variables, layers)
  if "random_init" in config.baselines:
    image = jnp.zeros((1, view.size_px, view.size_px, view.channels))
    key = keys.stream(config.seed, "random_init")
    fresh = jax.device_get(compiling.once(lambda: net.init(key, image, train=False))())
    variables = {"params": fresh["params"], "stats": fresh.get("batch_stats", {})}
    yield Encoder("random_init", encoder, variables, layers)
  if "raw_pixels" in config.baselines:
    yield Encoder("raw_pixels", features.OfPixels(config.max_features), {}, ("pixels",))


def _name(config: ConfigDict) -> str:
  """Returns how results call the network of the run."""
  return "checkpoint" if config.network == "online" else config.network


def of_net(config: ConfigDict, loaded: loading.Run) -> features.OfNet:
  """Returns what maps weights and views to the layers that an evaluation asks for."""
  patches = (config.patch_grid, config.patch_fraction)
  return features.OfNet(_net(config, loaded), config.layers, config.max_features, *patches)


def _net(config: ConfigDict, loaded: loading.Run) -> Network:
  """Returns the network of a run; a target's has those heads alone that a method averages."""
  net = build.net(loaded.config)
  if config.network == "online":
    return net
  return net.clone(heads=tuple(head for head in net.heads if head.name in loaded.params))


def _record(task: Task, protocol: str, settings: Any, found: dict[str, Any]) -> dict[str, Any]:
  record = {
    "protocol": protocol,
    "encoder": task.encoder.name,
    "layer": task.layer,
    "num_features": int(np.shape(task.test.layers[task.layer])[1]),
    "num_train": len(task.train.label),
    "num_test": len(task.test.label),
    "settings": dataclasses.asdict(settings),
  }
  counted = found.pop("scores", None)
  if counted is not None:
    record |= {
      "top1": counted.top1,
      "top5": counted.top5,
      "mean_per_class": counted.mean_per_class,
      "per_class": list(counted.per_class),
    }
  return record | found


def _line(record: dict[str, Any], settings: Any) -> str:
  what = f"{record['protocol']:<12}  {record['encoder']:<11}  {record['layer']:<6}"
  if "file" in record:
    return f"{what}  {record['file']}  ({settings.describe()})"
  if "tasks" in record:
    found = "  ".join(
      f"{name} {100 * task['top1']:.2f} % (chance {100 * task['chance']:.0f} %)"
      for name, task in record["tasks"].items()
    )
    return f"{what}  {found}  ({settings.describe()}; {_counts(record)})"
  chosen = record.get("penalty", record.get("rate"))
  chosen = f", chosen {chosen:g}" if record.get("validation_top1") else ""
  return (
    f"{what}  top-1 {100 * record['top1']:5.2f} %  top-5 {100 * record['top5']:6.2f} %  "
    f"({settings.describe()}{chosen}; {_counts(record)})"
  )


def _counts(record: dict[str, Any]) -> str:
  return (
    f"{record['num_features']} features, {record['num_train']:,} train, {record['num_test']:,} test"
  )
