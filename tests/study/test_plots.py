"""What a picture of a study draws: numbers joined in their order, words apart, gaps left open."""

import pytest

from contrastive_jax.study import canvas, collect, curves, plots, summary


def group(value, **labels):
  return summary.Group(labels, {}, dict(enumerate(value)), {}, 1000)


def drawn(axes):
  """{label of a line: its points}, rounded."""
  containers = zip(axes.get_legend_handles_labels()[1], axes.containers, strict=True)
  return {
    label: [(round(float(x), 3), round(float(y), 3)) for x, y in bars.lines[0].get_xydata()]
    for label, bars in containers
  }


def test_numbers_are_joined_in_their_order_on_a_logarithmic_axis_if_they_span_much():
  groups = [group([v, v + 0.2], batch=b, rule="a") for b, v in (("512", 0.5), ("64", 0.3))]
  axes = plots.lines(groups, "knn.h", "batch", "rule").axes[0]
  assert drawn(axes) == {"a": [(64, 40), (512, 60)]}
  assert axes.get_xscale() == "log" and axes.containers[0].lines[0].get_linestyle() == "-"
  assert [label.get_text() for label in axes.get_xticklabels()] == ["512", "64"]
  near = [group([0.5], batch=b, rule="a") for b in ("64", "128")]
  assert plots.lines(near, "knn.h", "batch", "rule").axes[0].get_xscale() == "linear"


def test_words_are_not_joined_and_lines_stand_beside_each_other():
  groups = [group([0.5], method=m, rule=r) for m in ("byol", "moco") for r in ("a", "b")]
  axes = plots.lines(groups, "knn.h", "method", "rule").axes[0]
  assert drawn(axes) == {"a": [(-0.125, 50), (0.875, 50)], "b": [(0.125, 50), (1.125, 50)]}
  assert {bars.lines[0].get_linestyle() for bars in axes.containers} == {"None"}


def test_bars_are_standard_deviations_in_percent():
  axes = plots.lines([group([0.4, 0.6], batch="64")], "knn.h", "batch").axes[0]
  (segment,) = axes.containers[0].lines[2][0].get_segments()
  assert segment[:, 1] == pytest.approx([50 - 10 * 2**0.5, 50 + 10 * 2**0.5])


def test_a_column_is_a_panel_of_its_own():
  groups = [group([0.5], batch="64", rule=rule) for rule in ("linear", "root")]
  made = plots.lines(groups, "metric.loss", "batch", column="rule")
  assert [axes.get_title() for axes in made.axes] == ["rule linear", "rule root"]
  assert made.axes[0].get_ylabel() == "metric.loss"
  assert made.axes[1].containers[0].lines[0].get_ydata() == pytest.approx([0.5])


def test_lines_of_any_panel_are_named_beside_the_last():
  groups = [group([0.5], batch="64", epochs=e, rule="linear") for e in ("5", "10")]
  groups.append(group([], batch="64", epochs="5", rule="root"))
  made = plots.lines(groups, "knn.h", "batch", "epochs", "rule")
  assert [text.get_text() for text in made.axes[1].get_legend().get_texts()] == ["5", "10"]


def test_a_grid_has_a_row_a_line_label_and_says_where_there_is_nothing():
  groups = [group([i / 10], first=f, second=s) for i, (f, s) in enumerate(("ab", "ac", "bb"))]
  groups.append(group([], first="b", second="c"))
  axes = plots.grid(groups, "knn.h", "second", "first").axes[0]
  texts = {text.get_position(): text.get_text() for text in axes.texts}
  assert texts == {(0.5, 0.5): "0.0", (1.5, 0.5): "10.0", (0.5, 1.5): "20.0", (1.5, 1.5): "-"}
  assert axes.yaxis_inverted()  # the first row is above
  assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_no_two_lines_look_alike():
  styles = [style for style, _ in zip(canvas.styles(), range(24), strict=False)]
  assert len({tuple(style.values()) for style in styles}) == 24


def test_letters_that_the_font_lacks_are_no_warning():
  """Warnings are errors here; a class may have a name in any script."""
  with canvas.settings():
    figure = plots.lines(
      [group([0.5, 0.6], batch="64", rule="\u65e5\u672c")], "knn.h", "batch", "rule"
    )
    assert "\u65e5\u672c" in canvas.svg(figure)
    assert canvas.png(figure).startswith(b"\x89PNG")


def test_curves_are_over_epochs_where_all_runs_tell_them(tmp_path):
  lines = [{"step": 4 * i, "epoch": i, "loss": 1.0} for i in range(1, 4)]
  told = collect.read(tmp_path)._replace(metrics=lines)
  silent = told._replace(metrics=[{"step": line["step"], "loss": 1.0} for line in lines])
  for runs, name, last in (([told, told], "epoch", 3), ([told, silent], "step", 12)):
    axes = curves.draw([curves.Series("a", run) for run in runs], ["loss"]).axes[0]
    assert (axes.get_xlabel(), axes.lines[0].get_xdata()[-1]) == (name, last)
