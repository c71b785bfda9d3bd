"""What the experiments on one data set share; a config file sets what its method adds.

Every `METHOD_cifar10.py` has two sizes: the default for one accelerator, a recipe that others have
checked where there is one, and `:cpu`, the same for every method so that their results can stand in
one table.
"""

from ml_collections import ConfigDict

from contrastive_jax import config as config_lib
from contrastive_jax.study import config as study_config

# Changes to shapes/quickstart with which a run takes seconds, most of them to compile.
TINY_SHAPES = {
  "data.shapes.num_train": 160,
  "data.shapes.num_test": 64,
  "data.shapes.size_px": 16,
  "data.held_out": 32,
  "image_size_px": 16,
  "model.width": 0.25,
  "epochs": 1,
  "batch_size": 32,
  "optimizer.warmup_epochs": 0.0,
  "monitor.max_train": 0,
  "log.every_steps": 1,
  "log.views": False,
  "log.tensorboard": False,
}


def imagenet(method: str, recipe: str, *, epochs: int, batch_size: int) -> ConfigDict:
  """Returns ImageNet at 224 px with ResNet-50 in bfloat16 and SimCLR's optimiser."""
  config = config_lib.pretrain(method, model="resnet50", recipe=recipe)
  config.epochs = epochs
  config.batch_size = batch_size
  config.image_size_px = 224
  config.model.stem = "imagenet"
  config.model.dtype = "bfloat16"
  config.data.source = "tfds"
  config.data.tfds.name = "imagenet2012"
  config.data.eval_split = "validation"
  config.data.held_out = 10_000  # of 1,281,167: a standard error of half a point at most
  config.data.host_size_px = 512
  config.data.cache = "none"
  config.data.num_threads = 16
  config.data.num_workers = 8
  config.monitor.every_epochs = 10
  config.monitor.k = 200
  config.monitor.batch_size = 1024
  return config


def cifar10(method: str, recipe: str, size: str = "gpu") -> ConfigDict:
  """Returns CIFAR-10 with plain SGD: ResNet-18 on all images ("gpu"), or ResNet-8 ("cpu")."""
  sizes = {"gpu": _cifar10_gpu, "cpu": _cifar10_cpu}
  if size not in sizes:
    raise ValueError(f'size "{size}" is unknown; use one of {", ".join(sizes)}')
  config = sizes[size](method, recipe)
  config.model.weight_init = "torch"
  config.augment.min_area = 0.2
  config.data.source = "tfds"
  config.data.tfds.name = "cifar10"
  config.optimizer.name = "sgd"
  return config


def cifar10_solo(method: str, recipe: str, epochs: str = "1000") -> ConfigDict:
  """Returns solo-learn's frame for CIFAR-10 (da Costa et al., JMLR 2022; its released configs).

  ResNet-18 of torchvision on all images, batches of 256, LARC that clips, ten epochs of warm-up and
  a cosine to 0; 1000 epochs are published. A file sets rate and weight decay. What differs: their
  first convolution pads by 2, so that maps have 34 px, and their warm-up starts a little above 0.
  Which of their figures come from earlier scripts is not said; those had no blur in symmetric
  views, LARC of biases, too, for SwAV, and blocks that start as their shortcut for SimSiam.
  """
  if not epochs.isdecimal() or int(epochs) < 10:
    raise ValueError(f'size "{epochs}" is unknown; use cpu, or a number of epochs from 10 on')
  config = config_lib.pretrain(method, model="resnet18", recipe=recipe)
  config.epochs = int(epochs)
  config.batch_size = 256
  config.model.stem = "cifar"
  config.model.dtype = "bfloat16"
  config.model.padding = "torch"
  config.model.weight_init = "torch"
  config.model.zero_gamma = False
  config.data.source = "tfds"
  config.data.tfds.name = "cifar10"
  config.optimizer.name = "larc"
  config.optimizer.trust_coefficient = 0.02
  config.optimizer.trust_clip = True
  config.monitor.every_epochs = 10
  return config


def plain_sgd(config: ConfigDict) -> ConfigDict:
  """Sets SGD that decays every parameter, as torch does."""
  config.optimizer.name = "sgd"
  config.optimizer.decay_exclude = "none"
  return config


def _cifar10_gpu(method: str, recipe: str) -> ConfigDict:
  config = config_lib.pretrain(method, model="resnet18", recipe=recipe)
  config.epochs = 100
  config.batch_size = 512
  config.model.stem = "cifar"
  config.model.dtype = "bfloat16"
  config.optimizer.base_lr = 0.06
  config.optimizer.warmup_epochs = 0.0
  config.optimizer.weight_decay = 5e-4
  config.optimizer.decay_exclude = "none"
  config.monitor.every_epochs = 10
  return config


def _cifar10_cpu(method: str, recipe: str) -> ConfigDict:
  config = config_lib.pretrain(method, model="resnet8", recipe=recipe)
  config.epochs = 20
  config.batch_size = 256
  config.model.stem = "cifar_s2"
  config.model.zero_gamma = False
  config.data.split = "train[:10000]"
  config.optimizer.base_lr = 0.3
  config.optimizer.warmup_epochs = 1.0
  config.optimizer.weight_decay = 1e-4
  config.monitor.every_epochs = 5
  config.monitor.max_train = 10_000
  config.log.every_steps = 39
  return config


def pretext(config: ConfigDict) -> ConfigDict:
  """Sets the frame of Kolesnikov et al. (CVPR 2019, released code) for pretext tasks.

  35 epochs of SGD, decay of kernels alone, the constants of TensorFlow's batch norm, and no block
  that starts as its shortcut.
  """
  config.epochs = 35
  config.model.padding = "torch"
  config.model.zero_gamma = False
  config.model.bn_momentum = 0.99
  config.model.bn_eps = 1e-3
  config.optimizer.name = "sgd"
  config.optimizer.base_lr = 0.1
  config.optimizer.warmup_epochs = 5.0
  config.optimizer.lr_schedule = "step"
  config.optimizer.milestones = (15.0, 25.0)
  config.optimizer.weight_decay = 1e-4
  return config


def study(name: str, title: str, size: str, method: str = "simclr") -> ConfigDict:
  """Returns a study of three sizes: "cpu" and "gpu" on CIFAR-10, "paper" on ImageNet.

  Scored by linear probes and neighbours. A file sets axes and how they are shown. On a CPU runs
  have six epochs, some minutes each, and on a GPU the hundred of their configs.
  """
  bases = {
    "cpu": f"cifar10/{method}:cpu",
    "gpu": f"cifar10/{method}",
    "paper": f"imagenet/{method}",
  }
  if size not in bases:
    raise ValueError(f'size "{size}" is unknown; use one of {", ".join(bases)}')
  made = study_config.study(name, base=bases[size])
  made.title = title
  made.changes = {"cpu": {"epochs": 6, "log.tensorboard": False}, "gpu": {}, "paper": {}}[size]
  made.seeds = (0,) if size == "paper" else (0, 1, 2)
  made.evaluations = ("eval/linear_sgd", "eval/knn")
  made.measure, made.also, made.choose_by = "linear_sgd.h", ("knn.h",), "knn.h"
  return made


def with_and_without_labels(size: str, method: str = "simclr") -> dict[str, dict[str, str]]:
  """Returns the axis that sets a method beside supervised learning, the yardstick."""
  ends = {"cpu": ("cifar10", ":cpu"), "gpu": ("cifar10", ""), "paper": ("imagenet", "")}
  folder, argument = ends[size]
  return {name: {"config": f"{folder}/{name}{argument}"} for name in (method, "supervised")}
