"""SimCLR on CIFAR-10 with a network small enough for a laptop's CPU.

python train.py --config=configs/cifar10_cpu.py --workdir=runs/cifar10_cpu \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python eval.py --config=configs/eval/all.py --workdir=runs/cifar10_cpu
"""

from contrastive_jax import config as config_lib


def get_config():
  config = config_lib.pretrain("simclr", model="resnet8", recipe="simclr_cifar")
  config.epochs = 20
  config.batch_size = 256
  config.method.temperature = 0.2
  config.model.stem = "cifar_s2"
  config.model.weight_init = "torch"
  config.model.zero_gamma = False
  config.augment.min_area = 0.2
  config.data.source = "tfds"
  config.data.tfds.name = "cifar10"
  config.data.split = "train[:10000]"
  config.optimizer.name = "sgd"
  config.optimizer.base_lr = 0.3
  config.optimizer.warmup_epochs = 1.0
  config.optimizer.weight_decay = 1e-4
  config.monitor.every_epochs = 5
  config.monitor.max_train = 10_000
  config.log.every_steps = 39
  return config
