"""Two runs never share a workdir."""

import errno
import os
import socket
import subprocess
import sys

import members
import pytest
import tiny_config
import whole_runs

from contrastive_jax import errors, locking
from contrastive_jax.training import trainer
from contrastive_jax.workdir import lock

HOLD = """
import signal, sys
from contrastive_jax.workdir import lock
with lock.hold(sys.argv[1]):
  print("held", flush=True)
  signal.pause()
"""


def test_a_second_run_is_refused_with_the_process_and_host_of_the_first(tmp_path):
  with lock.hold(str(tmp_path)):
    with pytest.raises(errors.UserError, match="is in use by process") as refused:
      trainer.train(tiny_config.tiny(), str(tmp_path), whole_runs.one_device())
  assert f"process {os.getpid()} on {socket.gethostname()}" in str(refused.value)
  assert [p.name for p in tmp_path.iterdir()] == ["lock"], "nothing was written"


def test_a_killed_run_holds_nothing(tmp_path):
  command, options = [sys.executable, "-c", HOLD, str(tmp_path)], {"stdout": subprocess.PIPE}
  with subprocess.Popen(command, env=members.environment(), text=True, **options) as holder:
    try:
      assert holder.stdout.readline() == "held\n"
      with pytest.raises(errors.UserError, match=f"process {holder.pid} on"):
        with lock.hold(str(tmp_path)):
          pass
    finally:
      holder.kill()
  with lock.hold(str(tmp_path)):
    pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch, capfd, number):
  def refuse(*_):
    raise OSError(number, os.strerror(number))

  monkeypatch.setattr(locking.fcntl, "flock", refuse)
  with lock.hold(str(tmp_path)):
    pass
  [line] = capfd.readouterr().err.splitlines()
  assert line.startswith(f"warning: {tmp_path}/lock cannot be locked ({os.strerror(number)})")
