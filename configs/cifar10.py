"""SimCLR on CIFAR-10 with ResNet-18: the recipe for one accelerator.

python train.py --config=configs/cifar10.py --workdir=runs/cifar10 --config.data.tfds.path=DIR
python eval.py --config=configs/eval/linear_sgd.py --workdir=runs/cifar10

Plain SGD, batch 512, temperature 0.5, head of two layers, no blur (SimCLR, appendix B.9). A rate of
0.06 B/256 suits runs of about 100 epochs, 0.03 those of 800 and more.
"""

from contrastive_jax import config as config_lib


def get_config():
  config = config_lib.pretrain("simclr", model="resnet18", recipe="simclr_cifar")
  config.epochs = 100
  config.batch_size = 512
  config.method.temperature = 0.5
  config.method.head_width = 1024
  config.model.stem = "cifar"
  config.model.weight_init = "torch"
  config.model.dtype = "bfloat16"
  config.augment.min_area = 0.2
  config.augment.grey_p = 0.1
  config.data.source = "tfds"
  config.data.tfds.name = "cifar10"
  config.optimizer.name = "sgd"
  config.optimizer.base_lr = 0.06
  config.optimizer.warmup_epochs = 0.0
  config.optimizer.weight_decay = 5e-4
  config.optimizer.decay_exclude = "none"
  config.monitor.every_epochs = 10
  return config
