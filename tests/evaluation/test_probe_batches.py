"""Small sets are passed over more often; published protocols keep their epochs on their own."""

import pytest

from contrastive_jax.evaluation import finetune, linear_probe, probe_batches


def steps(options, num_images):
  sized = probe_batches.sized(options, num_images, 1)
  return num_images // sized.batch_size * sized.epochs


@pytest.mark.parametrize("options", [linear_probe.Options(), finetune.Options()])
@pytest.mark.parametrize("num_images", [20, 255, 500, 4096])
def test_few_images_get_at_least_min_steps(options, num_images):
  found = steps(options, num_images)
  assert found >= options.min_steps
  assert found <= max(options.min_steps, options.epochs * max(1, num_images // 256)) + 16


def test_the_batch_is_what_the_set_can_fill_on_its_devices():
  assert probe_batches.sized(linear_probe.Options(), 83, 8).batch_size == 80
  assert probe_batches.sized(linear_probe.Options(batch_size=16), 83, 8).batch_size == 16
  assert probe_batches.sized(linear_probe.Options(), 5, 8).batch_size == 256  # is refused later


@pytest.mark.parametrize(
  "options, num_images",
  [
    (linear_probe.Options(batch_size=4096), 1281167),  # SimCLR, ImageNet
    (linear_probe.Options(), 50000),  # CIFAR-10
    (finetune.Options(batch_size=4096, epochs=60), 12811),  # SimCLR, 1 % of ImageNet
    (finetune.Options(batch_size=1024, epochs=60), 12811),  # SimCLR v2
    (finetune.Options(batch_size=4096), 128116),  # SimCLR, 10 %
  ],
)
def test_published_protocols_keep_their_epochs(options, num_images):
  sized = probe_batches.sized(options, num_images, 8)
  assert sized == options
  assert probe_batches.too_few(sized, num_images, "finetune") is None


def test_falls_of_the_step_schedule_keep_their_place_in_the_whole():
  options = linear_probe.Options(epochs=100, step_epochs=(60, 80), min_steps=1000)
  sized = probe_batches.sized(options, 300, 1)
  assert (sized.epochs, sized.step_epochs) == (1000, (600, 800))


def test_too_few_steps_are_said_in_a_line_with_a_remedy():
  options = probe_batches.sized(finetune.Options(min_steps=0), 500, 1)
  line = probe_batches.too_few(options, 500, "finetune")
  assert line.startswith("warning: finetune takes 30 steps in all")
  assert line.endswith("set finetune.min_steps=1000")
  assert probe_batches.too_few(probe_batches.sized(finetune.Options(), 500, 1), 500, "x") is None


@pytest.mark.parametrize(
  "total, num_features, expected",
  [
    (1620, 64, 60),  # no rest, so one program
    (1620, 3072, 20),  # 64 MiB
    (1531, 64, 64),  # a prime
    (2 * 61, 64, 61),
    (2 * 31, 64, 62),
    (2 * 67, 64, 64),  # 67 are too many, and 2 far too few
    (3, 64, 64),  # fewer than go in one
    (10, 2**20, 1),
  ],
)
def test_steps_of_one_program_leave_no_rest_where_half_as_many_do(total, num_features, expected):
  assert probe_batches.at_once(total, 256, num_features) == expected
