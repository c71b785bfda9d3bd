"""SimCLR on ImageNet with ResNet-50: the paper's main recipe (Chen et al., 2020, sections 2 and 5).

python train.py --config=configs/imagenet_resnet50.py --workdir=runs/imagenet \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/imagenet_resnet50.py:1000 ...    # epochs; the studies have 100

LARS with 0.3 B/256 (4.8 at 4096) and weight decay 1e-6, ten epochs of warm-up, cosine decay, global
batch norm, temperature 0.1, full-strength colour distortion and blur. For batches below 4096 and
short runs the square-root rule is better (appendix B.1):
  --config.optimizer.lr_scaling=sqrt --config.optimizer.base_lr=0.075
"""

from contrastive_jax import config as config_lib


def get_config(epochs="100"):
  config = config_lib.pretrain("simclr", model="resnet50", recipe="simclr")
  config.epochs = int(epochs)
  config.batch_size = 4096
  config.image_size_px = 224
  config.model.stem = "imagenet"
  config.model.padding = "simclr"  # as the published weights: convolutions symmetric, pool SAME
  config.model.dtype = "bfloat16"
  config.data.source = "tfds"
  config.data.tfds.name = "imagenet2012"
  config.data.eval_split = "validation"
  config.data.host_size_px = 512
  config.data.cache = "none"
  config.data.num_threads = 16
  config.data.num_workers = 8
  config.monitor.every_epochs = 10
  config.monitor.k = 200
  config.monitor.batch_size = 1024
  return config
