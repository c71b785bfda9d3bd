"""What a process does when the one that started it is gone: nobody else would end it."""

import os
import threading
import time
from collections.abc import Callable

_POLL_S = 0.2


def when_orphaned(parent: int, act: Callable[[], None]) -> None:
  """Calls `act`, in a thread, once the process `parent` is no longer this one's parent."""

  def watch():
    while os.getppid() == parent:
      time.sleep(_POLL_S)
    act()

  threading.Thread(target=watch, name="orphan", daemon=True).start()
