"""What is hidden from imports, and for how long."""

import importlib
import sys

import pytest

from contrastive_jax import hiding


@pytest.mark.parametrize("alone", [True, False])
def test_modules_are_hidden_in_the_process_of_a_command(alone, monkeypatch):
  monkeypatch.setattr(hiding, "_alone", False)
  for name in ("this", "antigravity"):  # which nobody imports
    monkeypatch.delitem(sys.modules, name, raising=False)
  if alone:
    hiding.alone()
  found = importlib.util.find_spec("antigravity")
  with hiding.hidden("antigravity", always=("this",)):
    with pytest.raises(ImportError):
      importlib.import_module("this")
    assert ("antigravity" in sys.modules) is alone
    if alone:
      with pytest.raises(ImportError):
        importlib.import_module("antigravity")
  assert not {"this", "antigravity"} & set(sys.modules)
  assert importlib.util.find_spec("antigravity") == found


def test_what_is_imported_already_is_not_hidden(monkeypatch):
  monkeypatch.setattr(hiding, "_alone", True)
  with hiding.hidden("sys", always=("importlib",)):
    import importlib as again
  assert again is importlib and sys.modules["sys"] is sys
