"""The one exception that a user's input may raise, and the exit codes of the two scripts."""

EXIT_OK = 0
EXIT_USER_ERROR = 2  # bad input: one line on stderr, no traceback
EXIT_NON_FINITE = 3  # the loss became NaN or infinite; the last good checkpoint is kept
EXIT_PREEMPTED = 75  # SIGTERM: state saved, start the same command again (EX_TEMPFAIL)


class UserError(ValueError):
  """Input that cannot work. The message is one line: the value, the limit, the remedy."""


class NonFiniteLoss(RuntimeError):
  """The loss became NaN or infinite; nothing after the last good checkpoint was saved."""


class Preempted(RuntimeError):
  """SIGTERM arrived; the state was saved and the same command goes on from there."""
