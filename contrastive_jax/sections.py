"""The sections of a run's config that belong to no folder: every key with its default and line.

What is no part of a run's identity may change when the run goes on (`identity=False`).
"""

import dataclasses

from contrastive_jax import declared
from contrastive_jax.options import option


@dataclasses.dataclass(frozen=True)
class Run:
  """Top level."""

  seed: int = option(0, "of initialisation, shuffling and augmentation")
  epochs: int = option(100, "passes over the training set")
  steps: int | None = option(
    None,
    "steps in all, in place of epochs, e.g. to try a large set (a longer warm-up is shortened)",
  )
  batch_size: int = option(256, "images in a global batch (views are not counted)")
  micro_batches: int = option(
    1,
    "parts a batch passes the network in, one by one: less memory, same loss over all of it",
    identity=False,
  )
  fit_memory: bool = option(
    True,
    "where a step does not fit, recompute blocks, use micro_batches, or both, until it does",
    identity=False,
  )
  memory_limit_gib: float = option(
    0.0, "memory of a device for a step (0: what the device has)", identity=False
  )
  fsdp: bool = option(
    False, "store big weights, optimiser state, memory in parts over the devices", identity=False
  )
  image_size_px: int = option(32, "side of a view, pixels")
  allow_config_change: bool = option(
    False, "go on with a run whose stored config differs", identity=False
  )
  allow_data_change: bool = option(
    False, "go on with a run whose images were others", identity=False
  )
  max_skipped_steps: int = option(
    3, "non-finite steps in a row, each skipped, that end the run", identity=False
  )


@dataclasses.dataclass(frozen=True)
class Data(declared.options("data.decoding", "Decoding")):
  """Where images come from and how they are decoded; a source's options are in its own section."""

  source: str = option("shapes", "shapes (built in), folder, table, npz, tfds, webdataset, ...")
  split: str = option("train", "split to train on, or a slice of it: train[:10000], train[:80%]")
  eval_split: str = option("test", "split that an evaluation scores", identity=False)
  held_out: int | None = option(
    None,
    "training images that are not trained on, of each class its share: kNN and the best checkpoint "
    "are of them (unset: 1,000, or a tenth of a smaller set; 0: none, no kNN)",
  )
  order: str | None = option(
    None,
    "how an epoch's order is made: feistel (any place by itself), or sort, of runs from before "
    "(unset: the run's own; of a new one feistel)",
  )


@dataclasses.dataclass(frozen=True)
class Monitor:
  """What is measured while training goes on."""

  every_epochs: int = option(
    10, "epochs between two scorings by kNN (0: only at the end)", identity=False
  )
  k: int = option(20, "neighbours", identity=False)
  temperature: float = option(
    0.07, "of the neighbours' weights exp(s / temperature)", identity=False
  )
  max_train: int = option(
    50_000, "training images in the bank, of each class its share (0: none, no kNN)", identity=False
  )
  max_test: int = option(10_000, "held-out images scored, of each class its share", identity=False)
  batch_size: int = option(512, "images in a forward pass", identity=False)
  online_learning_rate: float = option(
    1e-3, "of the linear classifier on stopped h (Adam)", identity=False
  )
  min_std: float = option(
    0.1, "alarm if the std of unit z, times sqrt(D), is below (collapse: 0)", identity=False
  )
  min_rank: float = option(2.0, "alarm if the effective rank of z is below", identity=False)
  max_cosine: float = option(
    0.95, "alarm if the mean cosine of two images' z is above", identity=False
  )
  max_zeros: float = option(
    0.01, "alarm if the share of images whose z has no length is above", identity=False
  )
  min_gradient: float = option(
    1e-6, "alarm if the norm of the gradient is below so many norms of the weights", identity=False
  )
  lasting_steps: int = option(
    100, "so many steps in a row of a dead gradient, or a loss above chance", identity=False
  )
  noise_parts: int = option(
    0,
    "parts of a batch whose gradients tell the gradient noise scale, with each line of metrics, in "
    "the time of two steps (0: not measured)",
    identity=False,
  )
  alarm_after_steps: int = option(
    100, "no alarm before: untrained nets may look collapsed", identity=False
  )


@dataclasses.dataclass(frozen=True)
class Log:
  """What is written where."""

  every_steps: int = option(50, "steps between two lines of metrics", identity=False)
  tensorboard: bool = option(True, "also write TensorBoard events", identity=False)
  wandb: bool = option(
    False, "also write a run of Weights & Biases, offline (extra wandb)", identity=False
  )
  report: bool = option(True, "draw WORKDIR/report/index.html at the end of a run", identity=False)
  views: bool = option(False, "write views.png, a grid of the first batch's views", identity=False)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
  """When the state is saved and what is kept."""

  every_epochs: float = option(
    1.0, "epochs between two saves (fractions allowed; 0: only the end)", identity=False
  )
  every_minutes: float = option(
    0.0, "minutes after which a state is saved in any case (0: by epochs alone)", identity=False
  )
  keep: int = option(2, "newest checkpoints kept", identity=False)
  keep_best: int = option(1, "checkpoints kept for their kNN accuracy", identity=False)
  restart: bool = option(
    False, "start over if there are checkpoints and none is intact", identity=False
  )
  export: tuple[str, ...] = option(
    (), "at the end, the backbone as safetensors, own, onnx, stablehlo", identity=False
  )


@dataclasses.dataclass(frozen=True)
class Init:
  """What a run, or an evaluation, starts from."""

  path: str = option(
    "", "weights: .safetensors, .npz, or the workdir of a run; the backbone's alone"
  )
  layout: str = option(
    "", "of the names in such a file: torchvision, timm, moco, ... (unset: found)"
  )
  step: int | str | None = option(None, "of a workdir: its checkpoint, or best (unset: the newest)")


@dataclasses.dataclass(frozen=True)
class Watchdog:
  """When a run that does not move is ended (exit codes 70 and 76)."""

  stuck_after_s: float = option(
    1800.0, "seconds of one phase (load, compile, save); 0: any time", identity=False
  )
  peer_silent_s: float = option(
    60.0, "seconds without a sign of another process; 0: any time", identity=False
  )


SECTIONS = {
  "init": Init,
  "data": Data,
  "monitor": Monitor,
  "log": Log,
  "checkpoint": Checkpoint,
  "watchdog": Watchdog,
}
