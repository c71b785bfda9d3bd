"""The commands and examples that stand in README, the site and the configs."""

import ast
import re
import shlex

from conftest import REPOSITORY

PAGES = [
  REPOSITORY / "README.md",
  REPOSITORY / "CONTRIBUTING.md",
  *sorted((REPOSITORY / "docs").rglob("*.md")),
]
CONFIGS = sorted((REPOSITORY / "configs").glob("*/[!_]*.py"))
_FENCE = re.compile(r"^ *```(\w+)[^\n]*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_DOORS = (("contrastive_jax",), ("python", "-m", "contrastive_jax"))
_SCRIPTS = {"train.py": "train", "eval.py": "eval"}
_ENDS = ("&&", "||", ";", "|", "&", ")")
# What a reader puts in place of a word in capitals, where a test needs something to read.
_STANDS_FOR = {
  "cifar10/METHOD": "cifar10/simclr",
  "imagenet/METHOD": "imagenet/simclr",
  "=CONFIG": "=shapes/quickstart",
  "=NAME": "=cifar10/simclr",
  "HOST:PORT": "localhost:1234",
  "=N ": "=2 ",
  "=I ": "=0 ",
  "...": "",
}


def blocks(path, language):
  """The contents of a page's fenced blocks in a language."""
  return [text for kind, text in _FENCE.findall(path.read_text()) if kind == language]


def lines(path):
  """Every command line of a page's blocks in `sh`, or of a config's description."""
  if path.suffix == ".py":
    text = ast.get_docstring(ast.parse(path.read_text()))
    texts = [t for t in text.split("\n\n") if t.startswith("contrastive_jax ")]
  else:
    texts = blocks(path, "sh")
  return [line for text in texts for line in _joined(text)]


def _joined(text):
  """The lines of a block, those that a backslash or an open quote continues made one."""
  found, begun = [], ""
  for line in re.sub(r"\\\n\s*", " ", text).splitlines():
    begun += ("\n" if begun else "") + line.strip()
    try:
      shlex.split(begun, comments=True)
    except ValueError:  # a quote is open
      continue
    found.append(begun)
    begun = ""
  assert not begun, f"a quote is never closed: {begun}"
  return found


def commands(line):
  """The calls of the program in a line, as (command, words): ("train", ["--config=..."])."""
  for word, example in _STANDS_FOR.items():
    line = f"{line} ".replace(word, example).strip()
  line = re.sub(r"\$\{?\w+\}?", "simclr", line)  # a variable of the shell
  words = shlex.split(line, comments=True)
  found = []
  for place in range(len(words)):
    rest = words[place:]
    for door in _DOORS:
      if tuple(rest[: len(door)]) == door:
        found.append((rest[len(door)], _until_end(rest[len(door) + 1 :])))
    if rest[0] == "python" and rest[1:] and rest[1] in _SCRIPTS:
      found.append((_SCRIPTS[rest[1]], _until_end(rest[2:])))
  return found


def _until_end(words):
  """The words up to the next command of the line."""
  for place, word in enumerate(words):
    if word in _ENDS:
      return words[:place]
  return words
