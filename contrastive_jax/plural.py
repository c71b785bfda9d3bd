"""Counts in words: 1 image, 1,234 images."""


def of(count: int, one: str, many: str = "") -> str:
  """Returns a count and what is counted.

  Args:
    count: 0, 1, ...
    one: what one is called, or what follows it: "image", "file is read".
    many: what others are called; "": `one` with an s.
  """
  return f"{count:,} {one if count == 1 else many or f'{one}s'}"
