"""Counts in words: 1 image, 1,234 images, 1.2 kB."""


def of(count: int, one: str, many: str = "") -> str:
  """Returns a count and what is counted.

  Args:
    count: 0, 1, ...
    one: what one is called, or what follows it: "image", "file is read".
    many: what others are called; "": `one` with an s.
  """
  return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def of_bytes(count: int) -> str:
  """Returns a number of bytes in the unit that leaves the fewest digits: 12.3 kB, 1.2 GB."""
  for unit in ("bytes", "kB", "MB"):
    if count < 1000:
      return f"{count:.{0 if unit == 'bytes' else 1}f} {unit}"
    count /= 1000
  return f"{count:,.1f} GB"
