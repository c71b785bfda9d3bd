"""The page of a run: what it says of one that works and of one that collapses, and what fails."""

import html
import html.parser
import json
import pathlib
import re
import shlex
import warnings

import numpy as np
import pytest
from PIL import Image
from tiny_config import tiny

from contrastive_jax import cli, errors
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.evaluation import tiles
from contrastive_jax.report import (
  drawings,
  measures,
  page,
  pictured,
  sample,
  time_spent,
  write,
)
from contrastive_jax.training import trainer
from contrastive_jax.workdir import loading


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  path = str(tmp_path_factory.mktemp("run"))
  trainer.train(tiny(epochs=2), path)
  return path


@pytest.fixture(scope="module")
def taken(workdir):
  return sample.take(eval_config.evaluation("knn"), workdir, 48, 60.0)


def text_of(workdir, taken):
  return page.draw(page.known(pathlib.Path(workdir), workdir, taken, ("pca",)), "the command").html


@pytest.fixture(scope="module")
def drawn(workdir, taken):
  return text_of(workdir, taken)


@pytest.fixture
def bare(monkeypatch):
  """Leaves out what takes seconds to draw."""
  monkeypatch.setattr(page, "_curves", lambda *_: "")
  for name in ("views", "neighbours", "projections"):
    monkeypatch.setattr(pictured, name, lambda *_: "")


class Tags(html.parser.HTMLParser):
  def __init__(self):
    super().__init__()
    self.open, self.asked = [], []

  def handle_starttag(self, tag, attrs):
    self.asked += [value for key, value in attrs if key in ("src", "href") and value]
    if tag not in ("meta", "img", "br", "link"):
      self.open.append(tag)

  def handle_startendtag(self, tag, attrs):
    pass

  def handle_endtag(self, tag):
    assert self.open.pop() == tag


def test_the_page_is_whole_and_asks_for_nothing(drawn):
  tags = Tags()
  tags.feed(re.sub(r"<svg.*?</svg>", "", drawn, flags=re.S))
  assert tags.open == [] and "could not be drawn" not in drawn
  assert all(link.startswith(("data:", "#")) for link in tags.asked)
  for title in ("Curves", "What it is shown", "Neighbours of test images", "Directions in use"):
    assert f">{title}</h2>" in drawn
  assert "<td>h</td><td>kNN top-1, %</td>" in drawn
  assert "<br>crop: " in drawn
  assert "background_hue" in drawn and "Where the time went" in drawn


def test_a_collapse_is_said_at_the_top(workdir, taken, drawn, bare):
  assert "embeddings shrink to one point" not in drawn
  layers = taken.test.layers | {"z": np.ones_like(taken.test.layers["z"])}
  collapsed = taken._replace(test=taken.test._replace(layers=layers))
  text = text_of(workdir, collapsed)
  alarms = text[text.index(">Alarms</h2>") : text.index(">Did it work?</h2>")]
  assert 'class="bad">test images: std of z 0.000 &lt; 0.1: embeddings shrink' in alarms


def test_a_section_that_fails_leaves_the_others(workdir, taken, bare, monkeypatch, caplog):
  def broken(*_):
    raise ZeroDivisionError("<no> reason")

  monkeypatch.setattr(pictured, "spectrum", broken)
  text = text_of(workdir, taken)
  assert "could not be drawn: ZeroDivisionError(&#x27;&lt;no&gt; reason&#x27;)" in text
  assert ">What is taken for what</h2>" in text
  assert "Directions in use cannot be drawn" in caplog.text


def test_the_file_is_where_it_is_told(workdir, taken, monkeypatch):
  monkeypatch.setattr(sample, "take", lambda *_: taken)
  monkeypatch.setattr(page, "draw", lambda *_: page.Drawn("<html></html>\n", {}))
  path = pathlib.Path(write.write(workdir))
  assert path == pathlib.Path(workdir) / "report" / "index.html"
  assert path.read_text().endswith("</html>\n")


def test_a_page_that_others_wrote_is_not_replaced(workdir, taken, bare, tmp_path, monkeypatch):
  monkeypatch.setattr(sample, "take", lambda *_: taken)
  write.write(workdir, out=str(tmp_path / "ours"))
  write.write(workdir, out=str(tmp_path / "ours"))
  (tmp_path / "index.html").write_text("mine")
  with pytest.raises(errors.UserError, match="index.html is there, and nothing tells .* another"):
    write.write(workdir, out=str(tmp_path))
  assert (tmp_path / "index.html").read_text() == "mine"


def test_nothing_that_goes_wrong_at_the_end_fails_the_run(workdir, monkeypatch, caplog):
  monkeypatch.setattr(sample, "take", lambda *_: 1 / 0)
  write.at_end(workdir)
  assert "the report cannot be drawn (ZeroDivisionError: division by zero)" in caplog.text


def test_a_run_that_has_no_page_says_why_and_no_name_of_an_error(workdir, monkeypatch, caplog):
  def refused(*_, **__):
    raise errors.UserError("the page of a run takes three channels")

  monkeypatch.setattr(write, "write", refused)
  write.at_end(workdir)
  assert caplog.messages[-1] == "no report: the page of a run takes three channels"


def test_the_command_takes_the_run_as_a_word_and_its_mistakes_are_one_line(
  workdir, tmp_path, capfd, monkeypatch
):
  asked = []
  monkeypatch.setattr(write, "write", lambda *a, **k: asked.append((a[0], k)) or "page")
  cli.main(["report", workdir, "--nokeep_compiled", "--sample=7"])
  assert asked[0][0] == workdir and asked[0][1]["images"] == 7
  said = shlex.join(["contrastive_jax", "report", workdir, "--nokeep_compiled", "--sample=7"])
  assert asked[0][1]["command"] == said, "what repeats the page"
  monkeypatch.undo()
  for words, line in (
    ((), "no run is given; e.g. contrastive_jax report runs/first"),
    ((str(tmp_path / "none"),), "holds no run"),
    ((workdir, "--projections=mds"), "--projections=mds is unknown; use some of pca, tsne, umap"),
    ((workdir, "more"), f"argument 'more' is not a flag, and '{workdir}' is given; flags begin"),
  ):
    with pytest.raises(SystemExit) as left:
      cli.main(["report", *words, "--nokeep_compiled"])
    said = capfd.readouterr().err.strip().splitlines()[-1]
    assert left.value.code == errors.EXIT_USER_ERROR and line in said, said
  assert not (tmp_path / "none").exists(), "a refusal made a folder"


def test_pictures_are_in_tensorboard(tmp_path):
  write._to_tensorboard(tmp_path / "tb", 4, {"views": tiles.one(np.zeros((8, 8, 3), np.uint8))})
  (file,) = (tmp_path / "tb").iterdir()
  assert b"report/views" in file.read_bytes()


def test_the_time_log_of_the_run_is_read(workdir):
  text = (pathlib.Path(workdir) / "time.jsonl").read_text()
  lines = [json.loads(line) for line in text.splitlines() if line]
  assert lines[-1]["step"] == 8 and set(lines[-1]["seconds"]) >= {"start", "compile", "step"}
  told = {line["step"] for line in lines if "seconds" in line}
  assert told >= {2, 4, 6, 8}, "what is lost after a line of metrics would not be known"


def test_commands_can_be_pasted_where_the_workdir_has_a_space(workdir, taken, bare):
  known = page.known(pathlib.Path(workdir), "runs/my first", taken, ())
  assert "contrastive_jax eval &#x27;--workdir=runs/my first&#x27;" in page._scores(known)


def test_what_has_no_labels_is_not_said_to_be_coloured_by_them(taken):
  test = taken.test._replace(label=np.full_like(taken.test.label, -1))
  own = taken._replace(test=test)
  with warnings.catch_warnings():
    warnings.simplefilter("error")
    told = pictured.projections(own, ("pca",), {})
  assert "coloured by label" not in told
  assert "coloured by label" in pictured.projections(taken, ("pca",), {})


def test_weights_that_are_not_the_newest_of_the_run_are_said(workdir, taken, bare):
  config = eval_config.evaluation("knn")
  assert sample.whose(config) == "" and "weights" not in page._lead(known_of(workdir, taken))
  config.network = "target"
  target = taken._replace(whose=sample.whose(config))
  for said in (page._lead(known_of(workdir, target)), page._figures(known_of(workdir, target))):
    assert "the target network" in said
  config.init.path = "resnet50.safetensors"
  assert "resnet50.safetensors" in sample.whose(config)


@pytest.mark.parametrize("count", [1, 2, 9])
def test_a_few_images_raise_no_alarm_and_have_no_figures_that_are_no_numbers(
  count, workdir, taken, bare
):
  def first(part):
    layers = {name: x[:count] for name, x in part.layers.items()}
    return part._replace(index=part.index[:count], label=part.label[:count], layers=layers)

  few = taken._replace(train=first(taken.train), test=first(taken.test))
  with warnings.catch_warnings():
    warnings.simplefilter("error")
    known = known_of(workdir, few)
    alarms, figures = page._alarms(known), page._figures(known)
  assert "test images: " not in alarms and "too few" in alarms
  assert "nan" not in figures


def known_of(workdir, taken):
  return page.known(pathlib.Path(workdir), workdir, taken, ("pca",))


def test_the_time_line_has_a_share_for_each_phase_and_a_row_for_each_process(
  workdir, taken, tmp_path
):
  """Of ten steps of the first process the last two are done again by the second."""
  first = {"start": 4.0, "compile": 6.0, "load": 2.0, "step": 50.0, "score": 5.0, "save": 3.0}
  second = {"start": 5.0, "compile": 5.0, "step": 20.0}
  lines = (
    {"session": 1.0, "start_step": 0, "step": 0, "command": "train.py"},
    {"session": 1.0, "step": 10, "seconds": first},
    {"session": 2.0, "start_step": 8, "step": 12, "seconds": second},
  )
  (tmp_path / "time.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
  sessions = time_spent.read(tmp_path / "time.jsonl")
  axes = drawings.time(time_spent.totals(sessions)).axes[0]
  told = [text.get_text() for text in axes.get_legend().get_texts()]
  assert told == [
    *("start 9 %", "compile 11 %", "waiting for images 2 %", "steps 60 %"),
    *("scoring 5 %", "saving 3 %", "lost 10 %"),
  ]
  bars = [(bar.get_x(), bar.get_width()) for bar in axes.patches]
  assert bars[3] == (22.0, 60.0) and sum(bars[-1]) == pytest.approx(100), "they join"
  rows = re.findall(r"<tr>(.*?)</tr>", page._time(sessions), flags=re.S)
  cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows if "<td" in row]
  assert cells == [
    ["0 to 10", "4.0", "6.0", "2.0", "50.0", "5.0", "3.0", "2"],
    ["8 to 12", "5.0", "5.0", "0.0", "20.0", "0.0", "0.0", "-"],
  ]
  known = page.known(pathlib.Path(workdir), workdir, taken, ())._replace(sessions=sessions)
  lead = page._lead(known)
  assert "<dt>time</dt><dd>0:01:40</dd>" in lead and "<dt>goodput</dt><dd>60 %</dd>" in lead
  assert "no time.jsonl: it was trained by an earlier version" in page._time([])
  assert "goodput" not in page._lead(known._replace(sessions=[]))


def test_the_note_under_did_it_work_tells_of_how_many_images_it_is(workdir, taken):
  def note(sample):
    text = page._figures(page.known(pathlib.Path(workdir), workdir, sample, ()))
    return html.unescape(" ".join(re.findall(r'<p class="note">(.*?)</p>', text)))

  rows, seen = len(taken.test.index), len(taken.train.index)
  assert (rows, seen) == (24, 48)
  assert note(taken).startswith(f"Of 24 images of {taken.test.name}, at step 8; vectors at unit")
  assert "alignment: of two views of each of 48 training images" in note(taken)
  fewer = taken._replace(pairs={k: x[:5] for k, x in taken.pairs.items()}, cut_short=True)
  assert "of two views of each of 5 training images" in note(fewer)
  assert note(fewer).endswith("Fewer images than asked for: the time for them was over.")
  assert "Fewer images" not in note(taken)
  alone = note(taken._replace(test=None))
  assert alone.startswith(f"Of 48 images of {taken.train.name}, at step 8")


def test_the_number_of_neighbours_is_that_of_those_that_voted(taken):
  for bank, count in ((48, 20), (7, 7)):
    train = taken.train._replace(
      index=taken.train.index[:bank],
      label=taken.train.label[:bank],
      layers={name: x[:bank] for name, x in taken.train.layers.items()},
    )
    h, query = train.layers["h"], taken.test.layers["h"]
    votes = measures.vote(h, train.label, query, pictured.classes(taken))
    text = pictured.neighbours(taken._replace(train=train), votes, {})
    assert f"weighted by exp(cosine / 0.07), of {count} neighbours." in text
    assert f"which stands under each, of {bank} images." in text
    assert votes.nearest.shape == votes.cosine.shape == (24, count)


def test_images_are_shown_in_the_range_of_the_run(workdir, tmp_path):
  """Scans of 12 bits were black in the page, and floats had no picture at all."""
  for number in range(8):
    (tmp_path / "train" / str(number % 2)).mkdir(parents=True, exist_ok=True)
    scan = np.random.default_rng(number).random((16, 16), np.float32)
    Image.fromarray(scan).save(tmp_path / "train" / str(number % 2) / f"{number}.tif")
  loaded = loading.load_run(workdir, None)
  loaded.config.data.update(source="folder", value_range=(0.0, 1.0), split="train")
  loaded.config.data.folder.update(path=str(tmp_path), layout="known")
  found = sample.take(eval_config.evaluation("knn"), workdir, 8, 60.0, loaded=loaded)
  assert all(found.train.image(row).max() > 240 for row in range(8))
