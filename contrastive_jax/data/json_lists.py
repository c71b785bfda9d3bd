"""Lists of images in JSON: objects, one a line or in an array, or one of all images, as of COCO."""

import json
import logging
import re
from collections.abc import Iterator

from contrastive_jax import errors, plural

LINE_END = re.compile(r"\r\n|\r|\n")  # str.splitlines knows more, which JSON may hold in a text
_DEEPEST = 4  # objects inside each other that are looked into
_SHOWN = 60  # letters of a value, in a line of what is wrong


def parsed(
  text: str, file: str, images: tuple[str, ...] = ()
) -> tuple[list[str], Iterator[tuple[int, list[object]]]]:
  """Returns names of columns and (line, values) of each image.

  Args:
    text: of the file: objects, one a line, or in one array, or one object of labels by image, or
      of images, annotations and categories.
    file: how an error calls it.
    images: suffixes of files of images.

  Raises:
    UserError: it is no such text; the message has the number of the line.
  """
  whole = _whole(text) if images and text.lstrip().startswith("{") else {}
  if pairs := _by_image(whole, images) or _annotated(whole, file):
    return ["image", "label"], ((number, pair) for number, pair in enumerate(pairs, 1))
  if text.lstrip().startswith("["):
    try:
      objects = [(number, found) for number, found in enumerate(json.loads(text), 1)]
    except (ValueError, RecursionError) as error:
      raise errors.UserError(
        f"{file} cannot be read as JSON ({error}); write an object a line"
      ) from (error)
    unit = "entry"
  else:
    objects, unit = [], "line"
    for number, line in enumerate(LINE_END.split(text), 1):
      if line.strip():
        try:
          objects.append((number, json.loads(line)))
        except (ValueError, RecursionError) as error:
          raise errors.UserError(
            f"{file}, line {number}: no JSON ({error}); write an object a line, such as "
            '{"path": "cat/1.jpg", "label": "cat"}'
          ) from error
  header: dict[str, None] = {}
  for number, found in objects:
    if not isinstance(found, dict):
      raise errors.UserError(
        f"{file}, {unit} {number}: {short(found)} is no object; write one such as "
        '{"path": "cat/1.jpg", "label": "cat"}'
      )
  objects = [(number, _flat(found)) for number, found in objects]
  for _, found in objects:
    header.update(dict.fromkeys(found))
  if not objects:
    raise errors.UserError(f"{file} holds no line; it must name an image on each")
  names = list(header)
  return names, ((n, [found.get(name) for name in names]) for n, found in objects)


def _flat(found: dict[str, object], depth: int = _DEEPEST) -> dict[str, object]:
  """Returns an object with what lies in objects inside as well, by OUTER.INNER."""
  if not depth:
    return found
  inside = ((k, _flat(value, depth - 1)) for k, value in found.items() if isinstance(value, dict))
  return {f"{k}.{name}": value for k, some in inside for name, value in some.items()} | found


def _whole(text: str) -> dict[str, object]:
  """Returns the object that a text is; {} if it is none, as of an object a line."""
  try:
    found = json.loads(text)
  except (ValueError, RecursionError):
    return {}
  return found if isinstance(found, dict) else {}


def _by_image(whole: dict[str, object], images: tuple[str, ...]) -> list[list[object]]:
  """Returns (image, label) of an object such as {"cat/1.jpg": "cat", ...}; [] if it is none."""
  if not all(name.lower().endswith(images) for name in whole):
    return []
  return [list(pair) for pair in whole.items()]


def _annotated(whole: dict[str, object], file: str) -> list[list[object]]:
  """Returns (image, label) of an object as of COCO and iNaturalist; [] if it is none.

  It lists images, annotations (of which image and category, by their numbers) and categories. An
  image of several categories has all of them as its label, which is told where it is looked at.

  Raises:
    UserError: two images have one number, as where lists were put together.
  """
  images, marks, kinds = (
    [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    for found in (whole.get(key) for key in ("images", "annotations", "categories"))
  )
  if not images or not all(isinstance(one.get("file_name"), str) and "id" in one for one in images):
    return []
  numbers = [one["id"] for one in images] + [kind.get("id") for kind in kinds]
  numbers += [mark.get(key) for mark in marks for key in ("image_id", "category_id")]
  if not all(isinstance(number, int | str | None) for number in numbers):
    return []
  first: dict[object, str] = {}
  for one in images:
    if first.setdefault(one["id"], one["file_name"]) != one["file_name"]:
      raise errors.UserError(
        f"{file}: {first[one['id']]!r} and {one['file_name']!r} have the id {one['id']!r}, and "
        "annotations may be of either; number the images of all lists anew"
      )
  texts = {str(number): number for number in first}  # "7" beside 7, as some programs write
  names = {kind.get("id"): str(kind.get("name", kind.get("id"))) for kind in kinds}
  if len(set(names.values())) < len(names):
    names = {}
  labels: dict[object, dict[object, None]] = {}
  for mark in marks:
    image, number = mark.get("image_id"), mark.get("category_id")
    image = image if image in first else texts.get(str(image), image)
    labels.setdefault(image, {})[names.get(number, number)] = None
  _tell_of_annotations(first, labels, names, file)
  each = ((one["file_name"], list(labels.get(one["id"], (None,)))) for one in images)
  return [[name, found if len(found) > 1 else found[0]] for name, found in each]


def _tell_of_annotations(
  images: dict[object, str], labels: dict[object, dict], names: dict[object, str], file: str
) -> None:
  """Says which images have no annotation, and which annotations no image or name of a category."""
  without = [name for number, name in images.items() if number not in labels]
  of_none = [number for number in labels if number not in images]
  found = {label: None for some in labels.values() for label in some if label is not None}
  known = set(names.values())
  nameless = [label for label in found if label not in known] if names else []
  said = []
  if without:
    of_all = f"of {len(images):,} images"
    said.append(plural.of(len(without), f"{of_all} has", f"{of_all} have") + " no annotation")
    said[-1] += f" ({without[0]!r})"
  if of_none:
    said.append(f"{plural.of(len(of_none), 'image')} of annotations not listed ({of_none[0]!r})")
  if nameless:
    number = plural.of(len(nameless), "category", "categories")
    said.append(f"{number} without a name ({nameless[0]!r})")
  if said:
    logging.getLogger(__name__).warning("warning: %s: %s", file, "; ".join(said))


def short(value: object) -> str:
  """Returns a value as a message shows it."""
  text = repr(value)
  return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
