"""Context encoder (Pathak et al., 2016), reconstruction loss on CIFAR-10.

python train.py --config=configs/context_encoder_cifar10.py --workdir=runs/context_encoder \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/context_encoder_cifar10.py:cpu ...
"""

from configs import common


def get_config(size="gpu"):
  config = common.cifar10("context_encoder", "crop_only", size)
  if size == "cpu":
    config.method.decoder_width = 64
  return config
