"""Who wrote a file of weights, told by its names, and which of its arrays are the backbone.

A layout is a row: what precedes the backbone's names, what else such a file holds, and what the
names do not say of the network (its padding, its heads). A layout is a file's if its marks are
there and it knows every name; the first of the table that is so.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from contrastive_jax import errors
from contrastive_jax.weights import (
  byol,
  lightly,
  own,
  resnet_names,
  simclr,
  simclr_tf2,
  transformers_names,
  vit_names,
)
from contrastive_jax.weights.taken import Taken

Arrays = dict[str, np.ndarray]
_WRAPPERS = r"(?:(?:state_dict|model|model_state_dict|network|net)\.)?(?:module\.)?"
_FIRST = r"(?:conv1\.weight|cls_token)"  # of a backbone's names
_PYTORCH = {"padding": "torch", "bn_eps": 1e-5}
_CLASSIFIER = (r"(?:fc|head|heads|classifier|linear)\..*", "the classifier")
_OF_TRAINING = (r"(?:epoch|global_step|step|optimizer|optimizer_states|scaler|lr_schedulers|loops|"
                r"callbacks|hyper_parameters|iter|args)(?:\..*)?", "of its training")  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Layout:
  """How a project names weights.

  Attributes:
    name: of the project.
    prefix: pattern of what precedes the backbone's names, after `_WRAPPERS`.
    marks: patterns that some names must match, each by one at least, after `_WRAPPERS`.
    unused: (pattern, what it is) of whatever else there is, after `_WRAPPERS`.
    options: of the section `model` that the names do not show.
    heads: of a ViT's attention by its width, where they are not 64 features each.
    whole: takes all arrays below the prefix at once; None: names are torchvision's or timm's.
    normalize: of the images that the weights were trained on, a key of `augment.NORMALIZATIONS`.
    small_stem: what a 3x3 stem is; "": the layout does not say how it is padded.
  """

  name: str
  prefix: str = ""
  marks: tuple[str, ...] = ()
  unused: tuple[tuple[str, str], ...] = ()
  options: Mapping[str, Any] = dataclasses.field(default_factory=lambda: dict(_PYTORCH))
  heads: Mapping[int, int] = dataclasses.field(default_factory=dict)
  whole: Callable[[Arrays], Taken] | None = None
  normalize: str = "imagenet"
  small_stem: str = "cifar"


_MOCO_HEADS = {384: 12}

LAYOUTS = (
  Layout("own", marks=(r"params\.backbone\.",), whole=own.ours),
  Layout(
    "moco",  # v1 and v2: v2's head has a hidden layer
    r"encoder_q\.",
    (r"encoder_q\.",),
    (
      (r"encoder_q\.fc\..*", "the head"),
      (r"encoder_k\..*", "the key encoder"),
      (r"queue(_ptr)?", "the queue"),
    ),
  ),
  Layout(
    "moco_v3",
    r"base_encoder\.",
    (r"base_encoder\.",),
    (
      (r"base_encoder\.(fc|head)\..*", "the head"),
      (r"momentum_encoder\..*", "the momentum encoder"),
      (r"predictor\..*", "the predictor"),
    ),
    heads=_MOCO_HEADS,
  ),
  Layout(
    "simsiam",
    r"encoder\.",
    (r"encoder\.fc\.", r"predictor\."),
    ((r"encoder\.fc\..*", "the head"), (r"predictor\..*", "the predictor")),
  ),
  Layout(
    "dino",
    r"teacher\.(?:module\.)?(?:backbone\.)?",
    (r"teacher\.",),
    (
      (r"teacher\.(?:module\.)?(?:backbone\.)?(head|fc)\..*", "the head"),
      (r"student\..*", "the student"),
      (r"dino_loss\..*", "the centre"),
    ),
  ),
  Layout(
    "barlow",
    r"backbone\.",
    (r"backbone\.", r"projector\.", r"bn\."),
    ((r"projector\..*|bn\..*", "the head"), (r"backbone\.fc\..*", "the classifier")),
  ),
  Layout(
    "swav",
    "",
    (r"projection_head\.|prototypes\.",),
    ((r"projection_head\..*", "the head"), (r"prototypes\..*", "the prototypes")),
  ),
  Layout(
    "lightly_train",
    r"(?:teacher_)?embedding_model\.wrapped_model\._(?:features|model)\.",
    (r"(?:teacher_|student_)?embedding_model\.",),
    (
      (
        r"(?:teacher_|student_)?embedding_model\.(?!wrapped_model\._(?:features|model)\.).*",
        "its head",
      ),
      (r"student_.*", "the student"),
      (r"teacher_(?!embedding_model).*|.*_head\..*|criterion\..*|method.*", "the head"),
    ),
    whole=lightly.ours,
  ),  # fmt: skip
  Layout(
    "solo_learn",
    r"(?:(?:backbone|encoder)\.)?",  # cut out they are torchvision's, unless it is said
    (r"(?:backbone|encoder)\.", r"classifier\.weight"),
    (
      (r"(?:(?:backbone|encoder)\.)?fc\..*", "the classifier"),
      (r"momentum_(?:backbone|encoder)\..*", "the momentum encoder"),
      (
        r"(?:momentum_)?(?:classifier|projector|predictor|prototypes)\..*|queue.*|.*loss.*|head\..*",
        "the head and the online classifier",
      ),
    ),
    small_stem="cifar_pad2",
  ),  # fmt: skip
  Layout(
    "mmselfsup",
    r"backbone\.",
    (r"(?:neck|data_preprocessor|target_generator|momentum_encoder|head\.\w+)\b",),
    (
      (
        r"(?:neck|head|data_preprocessor|target_generator|queue|momentum_encoder|memory_bank)\b.*",
        "neck, head and what they need",
      ),
      (r"(?:message_hub|meta|ema_state_dict|param_schedulers)\b.*", "of its training"),
    ),
  ),  # fmt: skip
  Layout(
    "vicreg",
    r"backbone\.",
    (r"backbone\.", r"projector\."),
    ((r"projector\..*", "the head"),),
  ),
  Layout(
    "lightly",
    r"backbone\.",
    (r"backbone\.",),
    (
      (
        r"(?!backbone\.).*(?:head|criterion|prototypes|momentum|online|teacher|student)\w*\..*",
        "heads and other copies",
      ),
      (r"backbone\.fc\..*", "the classifier"),
    ),
    whole=lightly.ours,
    small_stem="",
  ),  # fmt: skip
  Layout(
    "simclr",
    marks=(r"base_model/|resnet(?:_\d+)?/.*conv2d",),
    whole=simclr.ours,
    normalize="none",
  ),
  Layout(
    "simclr",
    marks=(r"(?:model/)?resnet_model/initial_conv",),
    whole=simclr_tf2.ours,
    normalize="none",
  ),
  Layout("simclr", marks=(r"trainable_variables_list/",), whole=simclr_tf2.refuse),
  Layout("byol", marks=(r".*res_net\d+/~/initial_conv",), whole=byol.ours),
  Layout(
    "transformers",
    r"(?:vit\.)?",
    (r"(?:vit\.)?embeddings\.patch_embeddings\.projection\.",),
    (
      _CLASSIFIER,
      (r"(?:vit\.)?pooler\..*", "the pooler"),
      (r"(?:vit\.)?embeddings\.mask_token", "the token of masked patches"),
    ),
    transformers_names.OPTIONS,
    whole=transformers_names.ours,
    normalize="half",
  ),
  Layout("timm", "", (r"cls_token|patch_embed\.",), (_CLASSIFIER,)),
  Layout("torchvision", "", (r"conv1\.weight",), (_CLASSIFIER,)),
  Layout("lightly", "", (r"0\.weight",), (), whole=lightly.ours, small_stem=""),
)
NAMES = tuple(dict.fromkeys(layout.name for layout in LAYOUTS))


def named(name: str) -> tuple[Layout, ...]:
  """Returns the layouts of a name, all for "". Raises `UserError` for an unknown one."""
  if name and name not in NAMES:
    raise errors.UserError(f'init.layout "{name}" is unknown; use one of {", ".join(NAMES)}')
  return tuple(layout for layout in LAYOUTS if name in ("", layout.name))


def found(arrays: Arrays, name: str = "") -> tuple[Layout, Taken]:
  """Returns the layout of a file's arrays, and what of them is the backbone.

  Args:
    arrays: of the file.
    name: of the layout; "": found by the names.

  Raises:
    UserError: no layout has such names, or some are of no part that the layout knows.
  """
  known, problem = named(name), None
  stripped = {re.sub(f"^{_WRAPPERS}", "", key): key for key in arrays}
  for layout in known:
    if len(known) > 1 and not _has_marks(layout, stripped):
      continue
    taken = _taken(layout, stripped, arrays)
    if not taken.arrays:
      continue
    left = sorted(taken.left(arrays))
    if not left:
      return layout, taken
    problem = problem or _unknown(layout, left)
  if problem:
    raise problem
  said = f"init.layout {name} has no" if name else "none of the known layouts has"
  first = ", ".join(sorted(arrays)[:3])
  raise errors.UserError(
    f"{said} such names: {first}{', ...' if len(arrays) > 3 else ''}; known are "
    f"{', '.join(NAMES)} (docs: weights)"
  )


def _has_marks(layout: Layout, names: Mapping[str, str]) -> bool:
  return all(any(re.match(mark, name) for name in names) for mark in layout.marks)


def _taken(layout: Layout, stripped: Mapping[str, str], arrays: Arrays) -> Taken:
  """Returns what a layout makes of the arrays, under the names that the file has."""
  inside, taken = {}, Taken()
  for name, key in stripped.items():
    what = next(
      (said for pattern, said in (*layout.unused, _OF_TRAINING) if re.fullmatch(pattern, name)),
      None,
    )
    match = re.match(layout.prefix, name)
    if what:
      taken.unused[key] = what
    elif match:
      inside[name[match.end() :]] = key
  if layout.whole:
    made = layout.whole({name: arrays[key] for name, key in inside.items()})
    taken.arrays, taken.options = made.arrays, made.options
    taken.origin = {ours: inside[name] for ours, name in made.origin.items()}
    taken.unused |= {inside[name]: what for name, what in made.unused.items()}
    return taken
  for name, key in inside.items():
    ours = resnet_names.ours(name)
    if name.endswith(resnet_names.COUNTED):
      taken.unused[key] = "counts of steps"
    elif ours:
      taken.add(key, {ours: resnet_names.from_torch(arrays[key])})
    else:
      taken.add(key, vit_names.ours(name, arrays[key]))
  return taken


def _unknown(layout: Layout, left: list[str]) -> errors.UserError:
  """Returns what is said where the file has names that belong to no network here."""
  more = f" and {len(left) - 3} more" if len(left) > 3 else ""
  return errors.UserError(
    f"{', '.join(left[:3])}{more}: no part of a network of layout {layout.name} that there is "
    "here, so that its features would be others; give a file of a plain ResNet or ViT"
  )
