"""The exceptions that end a run with one line, and the exit codes of the scripts.

docs/reliability.md tells what each code means to whoever starts the run again.
"""

import contextlib
import errno
from collections.abc import Iterator

EXIT_OK = 0
EXIT_CELLS_FAILED = 1  # cells of a study failed, the others are done; 1 is a traceback's, too
EXIT_USER_ERROR = 2  # bad input: one line on stderr, no traceback
EXIT_NON_FINITE = 3  # the loss stayed NaN or infinite; the last good checkpoint is kept
EXIT_READ_FAILED = 66  # images or a checkpoint could not be read for now (EX_NOINPUT)
EXIT_STUCK = 70  # nothing moved for too long; the stacks are on stderr (EX_SOFTWARE)
EXIT_SAVE_FAILED = 74  # disk full or not writable; older checkpoints are kept (EX_IOERR)
EXIT_PREEMPTED = 75  # SIGTERM: state saved, start the same command again (EX_TEMPFAIL)
EXIT_PEER_LOST = 76  # another process of the run is gone or never came (EX_PROTOCOL)
# Of writing: what trying again does not mend.
NO_PLACE = (
  *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR),
  *(errno.ENOENT, errno.EINVAL, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTEMPTY),
)


class UserError(ValueError):
  """Input that cannot work. The message is one line: the value, the limit, the remedy."""


class Absent(UserError):
  """There are no images where they should lie: a wrong path, or a disk that is away."""


class NoSplit(UserError):
  """There are images, and none of the split that was asked for."""


class NonFiniteLoss(RuntimeError):
  """Loss or gradient stayed NaN or infinite; no such step changed the state."""


class SaveFailed(RuntimeError):
  """Something of the run could not be written; the checkpoints before are kept."""


class ReadFailed(RuntimeError):
  """Something could not be read though nothing says that it is damaged; nothing was changed."""


class Preempted(RuntimeError):
  """SIGTERM arrived; the state was saved and the same command goes on from there."""


class CellsFailed(RuntimeError):
  """Some cells of a study failed; the others are done."""


class PeerLost(RuntimeError):
  """Another process of the run died, went silent, or never came."""


_GOES_ON = "the same command goes on from the last checkpoint, if there is one"


@contextlib.contextmanager
def saving(what: str, then: str = _GOES_ON) -> Iterator[None]:
  """Turns whatever fails inside into `SaveFailed`.

  Args:
    what: was being saved.
    then: what the same command does once it can be.
  """
  try:
    yield
  except (SaveFailed, UserError):
    raise
  except Exception as error:  # TensorStore tells of a full disk in a ValueError
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    raise SaveFailed(
      f"{what} cannot be written ({' '.join(reason.split())[:1000]}); make room or set the "
      f"permissions right, then {then}"
    ) from error


@contextlib.contextmanager
def placing(what: str, then: str = _GOES_ON) -> Iterator[None]:
  """Turns what fails inside, at a start, into `UserError` where no further start could mend it.

  Permissions, and files in the way, are a mistake; a full disk or a server that is away passes, and
  is `SaveFailed`. Later in a run even those are: a start after it tells which.

  Args:
    what: is about to be written.
    then: see `saving`.
  """
  try:
    with saving(what, then):
      yield
  except SaveFailed as failure:
    error = failure.__cause__
    if isinstance(error, ReadFailed):
      raise error from None
    if not isinstance(error, OSError) or error.errno not in NO_PLACE:
      raise
    place = f": {error.filename}" if error.filename and str(error.filename) not in what else ""
    raise UserError(
      f"{what} cannot be written ({error.strerror}{place}); set the permissions right, move what "
      "is in the way, or give another --workdir"
    ) from error
