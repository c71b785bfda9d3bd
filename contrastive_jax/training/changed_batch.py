"""Where a run goes on in its epochs when it has another batch size than before.

Order and position of the images follow from the step, and a step of another size lies elsewhere:
what was trained on may come again, and what was not may be left out.
"""

from contrastive_jax import plural


def said(step: int, num_images: int, before: int, now: int) -> str:
  """Returns the line that tells how many images come again or are left out.

  Args:
    step: that the run goes on from.
    num_images: of the training set.
    before, now: batch sizes. Each epoch of either drops the last, partial batch.
  """
  (epoch, seen), (new_epoch, counted) = (_place(step, num_images, b) for b in (before, now))
  line = (
    f"step {step} was image {seen:,} of epoch {epoch} in batches of {before}, and is image "
    f"{counted:,} of epoch {new_epoch} in batches of {now}: "
  )
  to_come = num_images - num_images % now  # of an epoch
  if (new_epoch, counted) < (epoch, seen):
    whole = min(to_come, num_images - num_images % before)
    count = _between(new_epoch, counted, epoch, min(seen, to_come), whole)
    return f"{line}{plural.of(count, 'image is', 'images are')} trained on again"
  count = _between(epoch, seen, new_epoch, counted, to_come)
  return f"{line}{plural.of(count, 'image is', 'images are')} left out"


def _place(step: int, num_images: int, batch_size: int) -> tuple[int, int]:
  """Returns the epoch after so many steps, and how many of its images are done."""
  epoch, steps = divmod(step, num_images // batch_size)
  return epoch, steps * batch_size


def _between(epoch: int, image: int, later: int, until: int, length: int) -> int:
  """Returns the images from one place to a later one; an epoch has `length` of them."""
  if epoch == later:
    return max(0, until - image)
  return max(0, length - image) + (later - epoch - 1) * length + until
