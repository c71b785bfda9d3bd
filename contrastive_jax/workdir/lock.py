"""One run at a time in a workdir: a lock that the operating system drops when its holder dies."""

import contextlib
import pathlib
from collections.abc import Iterator

import jax

from contrastive_jax import errors, locking
from contrastive_jax.processes import agree


@contextlib.contextmanager
def hold(workdir: str) -> Iterator[None]:
  """Holds `workdir`/lock, on process 0, for the time of the context.

  Raises:
    UserError: another run holds it, on all processes alike; the message names its process and host.
  """
  with contextlib.ExitStack() as stack:
    holder = None
    if jax.process_index() == 0:
      path = pathlib.Path(workdir) / "lock"
      with errors.placing(str(path)):
        file = stack.enter_context(path.open("a+"))
      holder = locking.take(file)
    if agree.any_process(holder is not None):
      raise errors.UserError(
        f"workdir {workdir} is in use by {holder or 'another run'}; wait for its end, stop it, or "
        "give another --workdir"
      )
    yield
