#!/bin/sh
# stable-pretraining's schedule of three steps never lowers the rate, unless the length of a run happens to divide:
# ImageNet for 90 epochs in batches of 256 ends at the rate that it began with, for 0.027 of it.
#
# Version:  stable-pretraining 0.1.8, the newest, torch 2.13.0 on a CPU, Python 3.11 or newer. torch 2.13.0 came as a
#           build for CPUs; one for CUDA takes GBs.
# Expected: "LinearWarmupThreeStepsAnnealing" with the defaults that it has by that name warms up over a twentieth of
#           the run and multiplies the rate by 0.3 at 40, 60 and 80 % of the rest. "LinearWarmupCyclicAnnealing" does
#           not go above the rate of the optimizer, which is the end of its warm-up, by more than the gamma of its
#           CosineDecayer says, "for cycle amplitude", 0.2 by default.
# Seen:     of all lengths from 1,000 to 4,999 steps four in five never lower the rate, one in five do so three times.
#           ImageNet, 90 epochs: never in batches of 256, 512, 1,024 and 4,096. 100, 200 or 300 epochs are right
#           whatever an epoch has, and so is the 1,000 of the example. The other schedule rises to 1.38 times the
#           rate, and gamma=0 and gamma=0.9 are the same. Nothing is said.
# Why:      optim/lr_scheduler.py gives MultiStepLR 0.4, 0.6 and 0.8 times the rest as floats, which lowers the rate
#           where a whole number of steps equals one. CosineDecayer keeps no gamma and adds half a sine. It is so on
#           main of June 2026; no report of it was found. (Pointcept's issue 379 is of its own such fractions.)
# For us:   milestones are epochs, and rounded to steps (contrastive_jax/optim/schedules.py; tests/optim/
#           test_schedules.py); no schedule goes above its peak.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
TMPDIR=$work "$work/env/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
  stable-pretraining==0.1.8 torch==2.13.0 torchvision==0.28.0 numpy==2.4.6
HOME=$work "$work/env/bin/python" -W ignore - <<'PYTHON'
import types
from collections import Counter

import torch
from loguru import logger
from stable_pretraining.optim.lr_scheduler import CosineDecayer, create_scheduler

logger.remove()
RATE = 0.4


def scheduled(name, steps):
  """Returns an optimizer and the schedule of that name, as a run of so many steps has it."""
  optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], RATE)
  trainer = types.SimpleNamespace(estimated_stepping_batches=steps, max_epochs=90)
  return optimizer, create_scheduler(optimizer, name, types.SimpleNamespace(trainer=trainer))


def rates(name, steps):
  """Returns the rate of each step, over the optimizer's own."""
  optimizer, schedule = scheduled(name, steps)
  found = []
  for _ in range(steps):
    found.append(optimizer.param_groups[0]["lr"] / RATE)
    optimizer.step()
    schedule.step()
  return found


def lowered(steps):
  """Returns how often the rate of a run is lowered, of three times."""
  _, schedule = scheduled("LinearWarmupThreeStepsAnnealing", steps)
  warmup = max(1, int(0.05 * steps))
  return sum(milestone in range(steps - warmup) for milestone in schedule._schedulers[1].milestones)


for images, batch, epochs in (
  (1_281_167, 256, 90),
  (1_281_167, 512, 90),
  (1_281_167, 1024, 90),
  (1_281_167, 4096, 90),
  (50_000, 512, 100),
  (1_281_167, 4096, 100),
):
  steps = -(-images // batch) * epochs
  seen = rates("LinearWarmupThreeStepsAnnealing", steps) if steps < 60_000 else None
  times = lowered(steps)
  end = "" if seen is None else f", ends at {seen[-1]:.3f} of the rate"
  print(f"{images:9,} images in batches of {batch}, {epochs} epochs, {steps} steps: lowered {times} times{end}")
  assert times == (3 if epochs == 100 else 0)
  if seen is not None:
    assert abs(seen[-1] - 0.3**times) < 1e-9 and max(seen) < 1 + 1e-9
for epochs in (100, 200, 300):
  assert {lowered(epochs * in_one) for in_one in range(1, 100)} == {3}

counts = Counter(lowered(steps) for steps in range(1_000, 5_000))
print("lengths by how often the rate is lowered:", dict(counts))
assert counts == {0: 3_200, 3: 800}
for steps in (1_000, 1_001, 1_002):
  assert abs(rates("LinearWarmupThreeStepsAnnealing", steps)[-1] - 0.3 ** lowered(steps)) < 1e-9

cyclic = rates("LinearWarmupCyclicAnnealing", 2_000)
print(f"cyclic: {max(cyclic):.3f} of the rate at step {cyclic.index(max(cyclic))} of 2000")
assert 1.37 < max(cyclic) < 1.39
small, large = CosineDecayer(100, gamma=0.0), CosineDecayer(100, gamma=0.9)
assert [small(i) for i in range(100)] == [large(i) for i in range(100)]
print("as described")
PYTHON
