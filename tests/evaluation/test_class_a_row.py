"""Gradients of linear probes are products of the form that is quick on a CPU.

XLA's product of transposed rows [n, F] with few columns [n, C] takes eight times as long there as
that of the columns with the rows (docs/results/evaluation.md).
"""

import re

import jax
import numpy as np
import pytest

from contrastive_jax.evaluation import linear_probe, linear_steps, logistic

ROWS, FEATURES, CLASSES = 96, 200, 7


def of_sgd():
  options = linear_probe.Options(batch_size=ROWS)
  start = linear_steps.start(FEATURES, CLASSES, options, 0)
  state = linear_steps.optimizer(options, 1).init(start)
  batches = np.zeros((ROWS, 2, FEATURES), np.float32), np.zeros((ROWS, 2), np.int32)
  return linear_steps.steps.lower(options, 1, start, state, None, *batches)


def of_rates():
  options = linear_probe.Options(batch_size=ROWS)
  start = linear_steps.start(FEATURES, CLASSES, options, 0)
  start = jax.tree.map(lambda leaf: np.stack([leaf] * 3), start)
  states = jax.vmap(linear_steps.optimizer(options, 1).init)(start)
  batches = np.zeros((ROWS, 2, FEATURES), np.float32), np.zeros((ROWS, 2), np.int32)
  rates = np.ones(3, np.float32)
  return linear_steps.steps_of_rates.lower(options, 1, start, states, rates, None, *batches)


def of_lbfgs():
  weights = np.zeros((CLASSES, FEATURES + 1), np.float32)
  mean, std = np.zeros(FEATURES, np.float32), np.ones(FEATURES, np.float32)
  rows = np.zeros((ROWS, FEATURES), np.float32), np.zeros(ROWS, np.int32)
  return logistic._sum_and_grad.lower(weights, mean, std, *rows, np.ones(ROWS, np.float32))


def of_the_basis():
  axes, grad = np.eye(FEATURES, dtype=np.float32), np.zeros((CLASSES, FEATURES + 1), np.float32)
  return logistic._turned_back.lower(axes, grad)


@pytest.mark.parametrize("lowered", [of_sgd, of_rates, of_lbfgs, of_the_basis])
def test_no_product_has_a_class_a_column_and_a_feature_a_row(lowered):
  products = re.findall(r"= f32\[([\d,]+)\]\S* dot\(", lowered().compile().as_text())
  sides = [tuple(map(int, shape.split(",")))[-2:] for shape in products]
  assert any(columns == FEATURES for _, columns in sides), "the gradient is among them"
  assert not any(rows == FEATURES for rows, _ in sides)
