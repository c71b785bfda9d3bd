"""Sets of TensorFlow Datasets whose label is no class: they are trained on without labels."""

import numpy as np
import pytest

from contrastive_jax import data, errors
from contrastive_jax.data import pipeline

pytest.importorskip("tensorflow_datasets", reason="the extra tfds is not installed")
prepared_sets = pytest.importorskip("prepared_sets")


def scalar(kind):
  tensor = {"shape": {}, "dtype": kind, "encoding": "none"}
  return {"pythonClassName": "tensorflow_datasets.core.features.scalar.Scalar", "tensor": tensor}


TEXT = {"pythonClassName": "tensorflow_datasets.core.features.text_feature.Text", "text": {}}
LABELS = {
  "age": (scalar("float32"), "float_list", 31.5, "Scalar"),
  "count": (scalar("int64"), "int64_list", 10**6, "Scalar"),
  "yes or no": (scalar("bool"), "int64_list", 1, "Scalar"),
  "caption": (TEXT, "bytes_list", b"eine Ameise", "Text"),
}


@pytest.fixture(params=LABELS.values(), ids=LABELS)
def prepared(request, tmp_path, monkeypatch):
  """A folder with such a set, what `label` is, and the pictures in it."""
  feature, kept_as, value, name = request.param
  features, record = prepared_sets._features(), prepared_sets._record
  features["featuresDict"]["features"]["label"] = feature

  def of_other_label(image, label):
    example = prepared_sets.tf_example_generated_pb2.Example()
    example.ParseFromString(record(image, label))
    example.features.feature["label"].Clear()
    getattr(example.features.feature["label"], kept_as).value.append(value)
    return example.SerializeToString()

  monkeypatch.setattr(prepared_sets, "_features", lambda: features)
  monkeypatch.setattr(prepared_sets, "_record", of_other_label)
  folder = prepared_sets.write(tmp_path)
  (folder / "label.labels.txt").unlink()
  return str(folder), name, prepared_sets.pictures()


def test_images_are_read_without_labels_and_a_line_says_so(prepared, caplog):
  path, name, pictures = prepared
  source = data.build("tfds", split="train", path=path)
  assert f"label of tiny/1.0.0 is no class but {name}: the images are taken" in caplog.text
  assert source.num_classes == 0 and set(source.read_labels().tolist()) == {-1}
  (batch,) = pipeline.eval_batches(source, batch_size=8)
  np.testing.assert_array_equal(batch["image"], pictures["train"][0])
  assert set(batch["label"].tolist()) == {-1}
  assert len(data.build("tfds", split="train[:50%]", path=path)) == 4


def test_a_label_that_is_asked_for_and_is_no_class_is_refused(prepared):
  path, name, _ = prepared
  line = f"data.tfds.label: 'label' is no class but {name} in .*; the set has no classes, or leave"
  with pytest.raises(errors.UserError, match=line):
    data.build("tfds", split="train", path=path, label="label")
  with pytest.raises(errors.UserError, match="there is no class feature 'kind' in .*features.json"):
    data.build("tfds", split="train", path=path, label="kind")
