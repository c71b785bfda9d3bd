"""The columns of several files of one set as those of one: which types go together.

Writers choose a type for each file: a column of whole numbers in which one is missing becomes one
of floats, one without any value has no type at all, texts that repeat are kept as a dictionary.
"""

import itertools

import pyarrow as pa

from contrastive_jax import errors
from contrastive_jax.data import columns

_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)


def schemas(one: pa.Schema, other: pa.Schema, file: str, first: str) -> pa.Schema:
  """Returns the columns of two files, in the order and with the metadata of the first.

  Args:
    one: of the files so far.
    other: of one more.
    file: that one, and `first` the first of all, in errors.

  Raises:
    UserError: they have not the same columns, types of one column do not go together, or classes
      are numbered differently.
  """
  joined, wrong = [], []
  for name in dict.fromkeys([*one.names, *other.names]):
    there, here = _type(one, name), _type(other, name)
    found = None if there is None or here is None else types(there, here)
    if found is None:
      wrong.append(f"{name} is {here or 'not there'}, not {there or 'there'}")
    joined.append((name, found))
  wrong = wrong or _other_classes(one, other)
  if wrong:
    raise errors.UserError(
      f"{file} has other columns than {first}: {', '.join(wrong[:3])}; name the files of one set, "
      "or write them alike"
    )
  return pa.schema(joined, one.metadata)


def _other_classes(one: pa.Schema, other: pa.Schema) -> list[str]:
  known, wrong = columns.class_names(one), []
  for name, names in columns.class_names(other).items():
    pairs = itertools.zip_longest(names or (), known.get(name) or names or (), fillvalue="none")
    found = ((number, *pair) for number, pair in enumerate(pairs) if pair[0] != pair[1])
    for number, here, there in itertools.islice(found, 1):
      wrong.append(f"class {number} of {name} is {here!r}, not {there!r}")
  return wrong


def _type(schema: pa.Schema, name: str) -> pa.DataType | None:
  at = schema.get_field_index(name)  # -1: not there, or twice
  return None if at < 0 else schema.field(at).type


def types(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
  """Returns a type for the values of two; None: there is none, as of whole numbers and texts."""
  one, other = _without_dictionary(one), _without_dictionary(other)
  if one.equals(other) or pa.types.is_null(other):
    return one
  if pa.types.is_null(one):
    return other
  if pa.types.is_struct(one) and pa.types.is_struct(other):
    inside = [{field.name: field.type for field in found} for found in (one, other)]
    found = {name: types(kind, inside[1].get(name, kind)) for name, kind in inside[0].items()}
    whole = set(inside[0]) == set(inside[1]) and None not in found.values()
    return pa.struct(found.items()) if whole else None
  for kinds in (_TEXTS, _BYTES, (pa.types.is_integer, pa.types.is_floating)):
    if all(any(is_kind(found) for is_kind in kinds) for found in (one, other)):
      return other if pa.types.is_floating(other) else one
  return None


def _without_dictionary(found: pa.DataType) -> pa.DataType:
  return found.value_type if pa.types.is_dictionary(found) else found
