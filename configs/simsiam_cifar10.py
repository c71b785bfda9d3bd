"""SimSiam on CIFAR-10: ResNet-18 for one accelerator, or a network small enough for a laptop's CPU.

python train.py --config=configs/simsiam_cifar10.py --workdir=runs/simsiam \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/simsiam_cifar10.py:cpu ...
python eval.py --config=configs/eval/all.py --workdir=runs/simsiam

The paper's appendix D (800 epochs): 0.03 B/256 at batch 512, weight decay 5e-4, no blur, projector
of two layers. The default here is 100 epochs at 0.06 B/256 like the other CIFAR-10 configs.
--config.method.stop_gradient=False shows the collapse.
"""

from configs import common


def get_config(size="gpu"):
  config = common.cifar10("simsiam", "simsiam", size)
  config.augment.blur = 0.0
  config.augment.normalize = "cifar"
  config.optimizer.lr_rules = (("^p/", 1.0, True),)
  config.method.head_layers = 2
  config.method.head_width = 2048
  if size == "cpu":
    config.method.head_width = 256
    config.method.embedding_size = 256
    config.method.predictor_width = 64
  return config
