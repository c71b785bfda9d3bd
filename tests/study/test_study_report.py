"""Tables, pictures and page of a study, from folders with made-up figures."""

import html.parser
import re

import pytest
import run_folders

from contrastive_jax import errors
from contrastive_jax.study import canvas, markup, report, tables
from contrastive_jax.study import cells as cells_lib
from contrastive_jax.study import config as study_config

EVIL = "<script>alert('1')</script> & $x$ | done"
SHORT = {"batch": study_config.each("batch_size", (64, 128))}
FILES = {"table.csv", "table.md", "plot.svg", "plot.png", "curves.svg", "curves.png"}


def study(**changes):
  made = study_config.study("small", base="shapes/quickstart")
  made.axes = {
    "batch": study_config.each("batch_size", (64, 128, 256)),
    "rule": {"linear": {}, "root": {"optimizer.lr_scaling": "sqrt"}},
  }
  made.title, made.seeds, made.x, made.line = EVIL, (0, 1), "batch", "rule"
  for key, value in changes.items():
    made[key] = value
  return study_config.resolve(made)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
  """A study with a missing and a failed cell, beside published figures; {file: its content}."""
  root = tmp_path_factory.mktemp("study")
  asked = study(
    published=[
      {"batch": batch, "value": value, "source": EVIL}
      for batch, value in (("64", 60.0), ("128", 61.5), ("256", 64.0), ("512", 66.0))
    ]
  )
  figures = {("64", "linear"): (0.5, 0.52), ("64", "root"): (0.6, 0.6)}
  figures |= {("128", "linear"): (0.55, None), ("128", "root"): (0.58, 0.6)}
  figures |= {("256", "linear"): (0.61, 0.63), ("256", "root"): (0.5, 0.5)}
  cells = cells_lib.cells(asked)
  for cell in cells:
    top1 = figures[cell.labels["batch"], cell.labels["rule"]][cell.seed]
    if cell.name == "batch=256,rule=root,seed=1":
      continue
    ended = {"state": "failed", "error": EVIL} if top1 is None else {}
    run_folders.write_cell(root, cell, top1=top1, num_test=2500, **ended)
  paths = report.write(asked, cells, root, command="contrastive_jax study --config='<b>'")
  return {path.name: path.read_bytes() for path in paths}


def table(text, heading):
  """The lines of the table under a heading."""
  below = text.split(f"## {heading}\n\n")[1]
  return [line for line in below.split("\n\n")[0].splitlines()]


def test_a_row_a_cell_and_figure_with_all_digits(written):
  assert written["table.csv"].decode().splitlines() == [
    "batch,rule,seed,cell,state,chosen,figure,images,value,num_test",
    '64,linear,0,"batch=64,rule=linear,seed=0",done,true,knn.h,test,0.5,2500',
    '64,linear,1,"batch=64,rule=linear,seed=1",done,true,knn.h,test,0.52,2500',
    '64,root,0,"batch=64,rule=root,seed=0",done,true,knn.h,test,0.6,2500',
    '64,root,1,"batch=64,rule=root,seed=1",done,true,knn.h,test,0.6,2500',
    '128,linear,0,"batch=128,rule=linear,seed=0",done,true,knn.h,test,0.55,2500',
    '128,linear,1,"batch=128,rule=linear,seed=1",failed,true,knn.h,test,,',
    '128,root,0,"batch=128,rule=root,seed=0",done,true,knn.h,test,0.58,2500',
    '128,root,1,"batch=128,rule=root,seed=1",done,true,knn.h,test,0.6,2500',
    '256,linear,0,"batch=256,rule=linear,seed=0",done,true,knn.h,test,0.61,2500',
    '256,linear,1,"batch=256,rule=linear,seed=1",done,true,knn.h,test,0.63,2500',
    '256,root,0,"batch=256,rule=root,seed=0",done,true,knn.h,test,0.5,2500',
    '256,root,1,"batch=256,rule=root,seed=1",missing,true,knn.h,test,,',
  ]


def test_the_table_has_means_deviations_chance_and_what_was_published(written):
  source = "&lt;script>alert('1')&lt;/script> &amp; $x$ \\| done"
  head = "| batch | rule | knn.h, % | n | chance, 1 run | published, % | source |"
  assert table(written["table.md"].decode(), "Results") == [
    f"{head} without a figure |",
    "|--:|---|--:|--:|--:|--:|---|---|",
    f"| 64 | linear | 51.00 ± 1.41 | 2 | 1.00 (2,500 images) | 60 | {source} | - |",
    f"| 64 | root | 60.00 ± 0.00 | 2 | 0.98 (2,500 images) | 60 | {source} | - |",
    f"| 128 | linear | 55.00 | 1 | 0.99 (2,500 images) | 61.5 | {source} | seed 1 failed |",
    f"| 128 | root | 59.00 ± 1.41 | 2 | 0.98 (2,500 images) | 61.5 | {source} | - |",
    f"| 256 | linear | 62.00 ± 1.41 | 2 | 0.97 (2,500 images) | 64 | {source} | - |",
    f"| 256 | root | 50.00 | 1 | 1.00 (2,500 images) | 64 | {source} | seed 1 missing |",
  ]


def test_published_figures_without_a_cell_are_counted(written):
  assert "\nPublished figures whose labels no cell here has: 1.\n" in written["table.md"].decode()


@pytest.mark.parametrize(
  ("row", "said"),
  [
    ({"bach": "64", "value": 1.0, "source": "a"}, "bach is no axis that is shown; did you mean"),
    ({"batch": "64", "value": "1", "source": "a"}, "needs a value in percent and its source"),
    ({"batch": "64", "value": 1.0}, "needs a value in percent and its source"),
    ({"value": 1.0, "source": "a", "figure": "knn.z"}, "neither measure nor one of also"),
  ],
)
def test_a_published_figure_that_cannot_be_shown_is_refused(row, said):
  with pytest.raises(errors.UserError, match=said):
    study(published=[row])


def test_differences_are_of_the_seeds_that_pair(written):
  found = table(
    written["table.md"].decode(), "knn.h: differences from rule linear, percentage points"
  )
  assert found[2:] == [
    "| 64 | root | +9.00 | 1.00 | -3.71 to +21.71 | 2 |",
    "| 128 | root | +3.00 | - | - | 1 |",
    "| 256 | root | -11.00 | - | - | 1 |",
  ]


def test_agreement_is_of_each_combination_that_print_leaves_open(written):
  found = table(written["table.md"].decode(), "knn.h: agreement with the published figures")
  assert found[2:] == [
    "| linear | 3 | 1.00 | - | 0.33 (exact) |",
    "| root | 3 | -1.00 | - | 0.33 (exact) |",
  ]


def test_all_files_are_there(written):
  assert set(written) == FILES | {"index.html", "published.svg", "published.png"}


class Page(html.parser.HTMLParser):
  """What a browser would make of a page: elements, their places in each other, and its texts."""

  VOID = ("meta", "br", "img", "link")

  def __init__(self, content):
    super().__init__()
    self.elements, self.open, self.texts = [], [], []
    self.feed(content)
    self.close()
    assert not self.open, f"{self.open} are never closed"

  def handle_starttag(self, tag, attrs):
    self.elements.append((tag, dict(attrs)))
    if tag not in self.VOID:
      self.open.append(tag)

  def handle_startendtag(self, tag, attrs):
    self.elements.append((tag, dict(attrs)))

  def handle_endtag(self, tag):
    assert self.open and self.open.pop() == tag

  def handle_data(self, data):
    self.texts.append(data)


@pytest.fixture(scope="module")
def page(written):
  return Page(written["index.html"].decode())


def test_the_page_asks_no_network_for_anything(page):
  for tag, attributes in page.elements:
    for name in ("src", "href", "xlink:href", "action", "data", "poster"):
      assert re.match(r"#|data:image/|$", attributes.get(name) or ""), (tag, attributes)
    assert "@import" not in str(attributes) and "url(http" not in str(attributes)
  policy = [a["content"] for tag, a in page.elements if a.get("http-equiv")]
  assert len(policy) == 1 and policy[0].startswith("default-src 'none'; img-src data:;")


def test_what_comes_from_a_config_is_text_on_the_page(page, written):
  assert sum(tag == "script" for tag, _ in page.elements) == 1  # the one that sorts
  assert not any(tag == "b" for tag, _ in page.elements)
  assert page.texts.count(EVIL) >= 3  # title, heading, why a cell failed
  assert "'<b>'" in "".join(page.texts)
  assert b"<script>" not in written["table.md"]


def test_every_picture_says_what_it_shows_and_no_id_is_taken_twice(page):
  pictures = [attributes for tag, attributes in page.elements if tag == "svg"]
  assert len(pictures) >= 5 and all(a["role"] == "img" and a["aria-label"] for a in pictures)
  ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
  assert len(ids) == len(set(ids)) > 10
  used = set(re.findall(r"url\(#([^)]*)\)", str(page.elements)))
  used |= {a["xlink:href"][1:] for _, a in page.elements if a.get("xlink:href", "").startswith("#")}
  assert used and used <= set(ids)


def test_missing_and_failed_cells_are_shown_as_such(page):
  assert page.texts.count("missing") >= 2 and page.texts.count("failed") >= 2
  assert "10 of 12" in page.texts


def test_a_page_is_for_light_and_dark(written):
  styles = written["index.html"].decode()
  assert "prefers-color-scheme: dark" in styles and "color-scheme: light dark" in styles
  assert canvas.INK not in styles


def test_the_cost_is_in_hours_of_devices(page):
  """Eleven cells of a minute on two devices each."""
  place = page.texts.index("device-hours, cpu")
  assert page.texts[place + 1] == f"{11 * 2 / 60:.3g}"
  assert "0:11:00" in page.texts


def test_pictures_are_the_same_every_time(written, tmp_path):
  """Also those of another folder; and a user's own settings change nothing."""
  import matplotlib

  asked = study(seeds=(0,), axes=SHORT, line="")
  with matplotlib.rc_context({"text.usetex": True, "lines.linewidth": 9}):
    for cell in cells_lib.cells(asked):
      run_folders.write_cell(tmp_path, cell, top1=0.5)
    first = {p.name: p.read_bytes() for p in report.write(asked, cells_lib.cells(asked), tmp_path)}
  again = {p.name: p.read_bytes() for p in report.write(asked, cells_lib.cells(asked), tmp_path)}
  assert set(first) == FILES | {"index.html"}
  assert first == again
  assert b"<dc:date>" not in first["plot.svg"]


@pytest.mark.parametrize("show", study_config.SHOWS)
def test_a_study_that_has_not_begun_has_a_report(show, tmp_path):
  asked = study(show=show)
  paths = report.write(asked, cells_lib.cells(asked), tmp_path)
  assert {p.name for p in paths} == FILES - {"curves.svg", "curves.png"} | {"index.html"}
  assert "0 of 12" in Page((tmp_path / "report" / "index.html").read_text()).texts


def test_labels_of_pictures_are_as_written(tmp_path):
  """A name between dollars is no formula, and a sign of SVG no markup."""
  from matplotlib.figure import Figure

  with canvas.settings():
    figure = Figure()
    figure.subplots().set_title("<b>$x^2$ & y")
    drawn = canvas.svg(figure)
  assert ">&lt;b&gt;$x^2$ &amp; y</text>" in drawn
  assert markup.picture(drawn, "<i>", "one").startswith('<figure class="scroll"><svg role="img"')


def test_what_is_chosen_stands_for_its_group_and_the_others_are_listed(tmp_path):
  """The rate is chosen by images held out; test images are scored for that rate alone."""
  asked = study(choose=("rule",), line="", seeds=(0, 1))
  for cell in cells_lib.cells(asked):
    root = cell.labels["rule"] == "root"
    run_folders.write_cell(
      tmp_path, cell, top1=0.7 if root else None, held_out=0.65 if root else 0.6
    )
  chosen = tmp_path / "choices" / "batch=64.json"
  chosen.parent.mkdir()
  chosen.write_text('{"chosen": {"rule": "root"}, "by": "linear_sgd.h"}')
  report.write(asked, cells_lib.cells(asked), tmp_path)
  text = (tmp_path / "report" / "table.md").read_text()
  assert table(text, "Results")[2:] == [
    "| 64 | root | 70.00 ± 0.00 | 2 | 1.45 (1,000 images) | - |",
    "| 128 | - | - | 0 | - | seeds 0, 1 not chosen yet |",
    "| 256 | - | - | 0 | - | seeds 0, 1 not chosen yet |",
  ]
  assert table(text, "What was chosen, and among what")[2:4] == [
    "| 64 | linear | 60.00 ± 0.00 | 2 | - |",
    "| 64 | root | 65.00 ± 0.00 | 2 | yes |",
  ]
  lines = (tmp_path / "report" / "table.csv").read_text().splitlines()
  held_out = [line for line in lines if ",held_out," in line]
  assert len(held_out) == 12
  assert [line.split(",")[:3] for line in held_out if ",done,true," in line] == [
    ["64", "root", "0"],
    ["64", "root", "1"],
  ]


def test_a_metric_counts_when_its_run_is_done(tmp_path):
  asked = study(measure="metric.loss", also=("knn.h",), axes=SHORT, line="")
  for i, cell in enumerate(cells_lib.cells(asked)):
    run_folders.write_cell(tmp_path, cell, top1=0.5, state="trained" if i else "failed")
  report.write(asked, cells_lib.cells(asked), tmp_path)
  found = table((tmp_path / "report" / "table.md").read_text(), "metric.loss")
  assert found[2:4] == [
    "| 64 | 1.839 | 1 | seed 0 failed |",
    "| 128 | 1.839 ± 0 | 2 | - |",
  ]
  assert (tmp_path / "report" / "plot_knn_h.svg").exists()


@pytest.mark.parametrize(
  ("text", "key"), [("62.1 ± 0.3", 62.1), ("+1.5", 1.5), ("1,024", 1024.0), ("root", None)]
)
def test_columns_are_sorted_by_the_numbers_they_begin_with(text, key):
  assert tables.sort_key(text) == key
