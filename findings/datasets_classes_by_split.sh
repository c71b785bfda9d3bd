#!/bin/sh
# Hugging Face's class_encode_column numbers the classes of each split anew: where the test images lack a class, every
# later one has another number there, and of a classifier that is right 0 % is. Classes 0 to 99 are renumbered, too.
#
# Version:  datasets 5.2.0, the newest; Python 3.11 or newer.
# Expected: DatasetDict.class_encode_column("label"), "casts the given column as ClassLabel", gives a class one number
#           in all splits, as load_dataset("imagefolder") does, or refuses. Classes that are numbers stay what they are,
#           as cast_column("label", ClassLabel(num_classes=100)) leaves them.
# Seen:     train of bird, cat and dog, test of cat and dog: cat is 1 in train and 0 in test, dog 2 and 1. A nearest-
#           mean classifier that tells all apart is right for 0 % of the test images by number, for 100 % by name. Of
#           100 classes of which three lack in the test split, the first among them, all 97 have another number. cast()
#           of the test split to the features of train, which looks like the remedy, keeps the numbers and so turns cats
#           into birds for good. Integers 0 to 99, as CIFAR-100 has them: 2 becomes 12, 10 becomes 2, in all 88 of 100
#           change, and of a head that was trained on the integers 12 % is right; train_test_split(
#           stratify_by_column="label"), which takes ClassLabel alone, asks for that call. 0 to 9 stay. Nothing is said.
# Why:      dataset_dict.py calls the function of each split, which sorts the texts that it finds there, and numbers
#           as texts: "10" comes before "2". (That integers change is known downstream: issue 51 of flairNLP/fabricator.
#           Of splits no report was found. concatenate_datasets refuses what is numbered differently.) cast_column with
#           ClassLabel(names=those of all splits), or num_classes of integers, is right.
# For us:   names are compared where splits meet: such a set's scores are refused, exit 2, with the class and both of
#           its names (contrastive_jax/evaluation/images.py, `check_names`), and so is a training on both.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 numpy==2.4.6
export HOME="$work" HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1
"$work/env/bin/python" -W ignore - <<'PYTHON'
import datasets
import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict

chance = np.random.default_rng(0)


def drawn(names, every, means):
  """Returns `every` features around the mean of each class that is named, with the name."""
  labels = [name for name in names for _ in range(every)]
  x = np.array([means[name] for name in labels]) + 0.01 * chance.normal(size=(len(labels), 16))
  return Dataset.from_dict({"x": x.tolist(), "label": labels})


def names_of(split):
  return [split.features["label"].names[label] for label in split["label"]]


def top1(train, test):
  """Returns how many test labels are those of the nearest mean of train: by number, by name."""
  x, y = np.array(train["x"]), np.array(train["label"])
  means = np.array([x[y == label].mean(0) for label in np.unique(y)])
  gaps = np.linalg.norm(np.array(test["x"])[:, None] - means, axis=-1)
  found = np.unique(y)[gaps.argmin(1)]
  named = [train.features["label"].names[label] for label in found]
  return np.mean(found == test["label"]), np.mean(np.array(named) == names_of(test))


for name, classes, lacking in (
  ("bird, cat, dog", ["bird", "cat", "dog"], ["bird"]),
  ("100 classes", [f"class {i:02}" for i in range(100)], ["class 00", "class 30", "class 60"]),
):
  means = {label: chance.normal(size=16) for label in classes}
  tested = [label for label in classes if label not in lacking]
  splits = DatasetDict(train=drawn(classes, 5, means), test=drawn(tested, 3, means))
  encoded = splits.class_encode_column("label")
  assert [names_of(encoded[s]) == list(splits[s]["label"]) for s in splits] == [True, True]
  numbers = {s: dict(zip(names_of(encoded[s]), encoded[s]["label"], strict=True)) for s in splits}
  moved = sum(numbers["train"][label] != numbers["test"][label] for label in tested)
  right = top1(encoded["train"], encoded["test"])
  print(f"{name}: {moved} of {len(tested)} moved, right by number {right[0]:.0%}, by name {right[1]:.0%}")
  assert moved == len(tested) and right == (0.0, 1.0)
  cast = encoded["test"].cast(encoded["train"].features)
  assert list(cast["label"]) == list(encoded["test"]["label"])
  assert all(a != b for a, b in zip(names_of(cast), splits["test"]["label"], strict=True))
  named = splits.cast_column("label", ClassLabel(names=classes))
  assert top1(named["train"], named["test"]) == (1.0, 1.0)
  aligned = encoded["test"].align_labels_with_mapping(numbers["train"], "label")
  assert top1(encoded["train"], aligned)[0] == 1.0 and names_of(aligned) == names_of(encoded["test"])
  try:
    datasets.concatenate_datasets([encoded["train"], encoded["test"]])
  except ValueError:
    print("  concatenate_datasets refuses them")
  else:
    raise AssertionError("concatenated")

for count in (10, 100):
  labels = list(range(count))
  whole = Dataset.from_dict({"label": labels})
  found = list(whole.class_encode_column("label")["label"])
  same = np.mean(np.array(found) == labels)
  print(f"integers 0 to {count - 1}: {same:.0%} stay; the first become", *found[:12])
  assert same == (1.0 if count == 10 else 0.12)
  assert count == 10 or (found[2], found[10]) == (12, 2)
  assert list(whole.cast_column("label", ClassLabel(num_classes=count))["label"]) == labels
pairs = Dataset.from_dict({"label": labels * 2})
try:
  pairs.train_test_split(test_size=0.5, stratify_by_column="label")
except ValueError as error:
  print(error)
else:
  raise AssertionError("integers are stratified")
split = pairs.class_encode_column("label").train_test_split(test_size=0.5, stratify_by_column="label")
assert sorted(split["test"]["label"]) == labels
print("as described")
PYTHON
