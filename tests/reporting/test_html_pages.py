"""The pages as people see them: in a real browser, from the disk, without a network."""

from __future__ import annotations

import re

import pytest
import torch
from helpers.browser import browse, needs_browser
from helpers.commands import TINY, call_in, ok
from PIL import Image

from reporting.history import History, Record
from reporting.html.contact_sheet import contact_sheet
from reporting.html.results_page import ResultsPage
from reporting.html.training_page import TrainingPage, in_words
from util.progress import Length


@pytest.fixture
def page(tmp_path):
    """A page of 30 results, called p00 … p29."""
    pairs = {"fake": "real"}
    words = {"roots": [tmp_path], "pairs": pairs, "width": 64, "aspect_ratio": 1.0}
    with ResultsPage(tmp_path / "results", "Test", **words, contact_sheet=True) as made:
        for i in range(30):
            images = {"real": torch.zeros(1, 3, 16, 24), "fake": torch.ones(1, 3, 16, 24)}
            made.add(images, {key: [str(tmp_path / f"p{i:02d}.jpg")] for key in images})
    return made


def test_a_results_page_asks_nobody_for_anything(page):
    text = page.index.read_text("utf-8")
    assert not re.search(r"https?://|//cdn|@import", text)
    images = re.findall(r'<img[^>]*src="([^"]+)"[^>]*>', text)
    assert len(images) == 60
    assert all((page.folder / name).is_file() for name in images)
    assert len(re.findall(r'<img[^>]*alt="[^"]+"', text)) == 60
    assert text.count('loading="lazy"') == 60
    assert 'width="24"' in text


def test_the_contact_sheet_shows_pairs(page):
    with Image.open(page.sheet) as sheet:
        assert sheet.size[0] > sheet.size[1] / 2
        half = sheet.size[0] // 2
        colors = {sheet.getpixel((x, half // 9)) for x in range(sheet.size[0])}
    assert {(128, 128, 128), (255, 255, 255)} == colors  # before and after


def test_a_contact_sheet_of_many_takes_some_of_all(tmp_path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    sheet = contact_sheet([[tmp_path / "a.png"] * 2] * 1000, side=8)
    assert sheet.size[0] * sheet.size[1] < 48 * 40 * 20


@needs_browser
def test_the_slider_moves_the_line(page, tmp_path):
    dom = browse(page.index, tmp_path, """
        const slider = document.querySelector(".compare input");
        slider.value = 20;
        slider.dispatchEvent(new Event("input", { bubbles: true }));""")  # fmt: skip
    assert dom.count("--at: 20%") == 1


@needs_browser
def test_all_sliders_move_together(page, tmp_path):
    dom = browse(page.index, tmp_path, """
        document.getElementById("all").value = 75;
        document.getElementById("all").dispatchEvent(new Event("input"));""")  # fmt: skip
    assert dom.count("--at: 75%") == 30


@needs_browser
def test_the_filter_hides_and_counts(page, tmp_path):
    dom = browse(page.index, tmp_path, """
        document.getElementById("filter").value = "p1";
        document.getElementById("filter").dispatchEvent(new Event("input"));""")  # fmt: skip
    assert ">10 of 30<" in dom
    assert len(re.findall(r'<figure data-name="p\d+" hidden', dom)) == 20


@needs_browser
def test_full_size_goes_on_with_the_arrows(page, tmp_path):
    dom = browse(page.index, tmp_path, """
        document.querySelectorAll("button.enlarge")[3].click();
        for (const key of ["ArrowRight", "ArrowRight", "ArrowLeft"])
            document.getElementById("view").dispatchEvent(
                new KeyboardEvent("keydown", { key, cancelable: true }));""")  # fmt: skip
    assert '<p id="caption">p04</p>' in dom
    assert re.search(r'<dialog id="view" open="">', dom)


# --- the page of a training -----------------------------------------------------------------


def training_page(folder, epochs: int, records: int = 50) -> TrainingPage:
    folder.mkdir(exist_ok=True)
    made = TrainingPage(folder / "web", {"name": "a<b>", "display_winsize": 64}, 1, Length(9, 10))
    history = History(folder / "losses.jsonl")
    for i in range(1, records + 1):
        history.add(Record(1, i, i, 2e-4, 0.1, 0.0, {"G_A": 1 / i, "D_A": 0.5}))
    for epoch in range(1, epochs + 1):
        sample = {"real_A": torch.zeros(1, 3, 8, 8), "fake_B": torch.full((1, 3, 8, 8), epoch / 99)}
        made.update(epoch, [sample, sample], history, ["fake_B: <odd>"] if epoch == epochs else [])
    return made


def test_an_update_costs_the_same_in_every_epoch(tmp_path):
    sizes = {}
    for epochs in (2, 60):
        made = training_page(tmp_path / str(epochs), epochs, records=3000)
        sizes[epochs] = sum(path.stat().st_size for path in made.folder.glob("*.*"))
    assert sizes[60] < 1.02 * sizes[2]


@needs_browser
def test_the_training_page_shows_all_there_is(tmp_path):
    made = training_page(tmp_path, 3)
    made.close()
    dom = browse(made.folder / "index.html", tmp_path)
    assert "epoch 3 of 9" in dom and "learning rate 0.0002" in dom and "left" in dom
    assert dom.count("<polyline") == 4  # two losses, each with its running mean
    assert "fake_B: &lt;odd&gt;" in dom and "a&lt;b&gt;" in dom
    assert dom.count("epoch003_fake_B") == 2 * 2  # address of image and link, twice
    assert "torch" in dom


@needs_browser
def test_the_slider_goes_through_the_epochs(tmp_path):
    made = training_page(tmp_path, 3)
    made.close()
    dom = browse(made.folder / "index.html", tmp_path, """
        addEventListener("load", () => {
            document.getElementById("epoch").value = 0;
            document.getElementById("epoch").dispatchEvent(new Event("input"));
        });""")  # fmt: skip
    assert dom.count("epoch001_fake_B") == 2 * 2
    assert '<span id="shown">1</span>' in dom


@needs_browser
def test_the_pointer_reads_a_curve(tmp_path):
    made = training_page(tmp_path, 1)
    made.close()
    dom = browse(made.folder / "index.html", tmp_path, """
        addEventListener("load", () => {
            const svg = document.querySelector("#curves svg"), box = svg.getBoundingClientRect();
            svg.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left }));
        });""")  # fmt: skip
    assert "1.000 at epoch 0.1" in dom


@needs_browser
def test_an_open_page_learns_of_news_and_stops_at_the_end(tmp_path):
    """The page is opened with the data of epoch 1; those of epoch 2 come while it is open."""
    made = training_page(tmp_path, 1)
    live = (made.folder / "data.js").read_text("utf-8")
    (made.folder / "first.js").write_text(live, encoding="utf-8")
    page = made.folder / "index.html"
    page.write_text(
        page.read_text("utf-8").replace('src="data.js"', 'src="first.js"').replace(
            "EVERY = 5000", "EVERY = 50"), encoding="utf-8",
    )  # fmt: skip
    made.news |= {"epoch": 2, "status": "the news", "images": [1, 2]}
    made.close()
    assert '"live": false' in (made.folder / "data.js").read_text("utf-8")
    dom = browse(page, tmp_path)
    assert "the news" in dom


def test_times_are_told_as_people_do():
    assert [in_words(s) for s in (20, 3599, 3600, 90000)] == [
        "0 min", "1 h 0 min", "1 h 0 min", "1 d 1 h"
    ]  # fmt: skip


def test_the_command_writes_the_contact_sheet(dataset, trained, tmp_path):
    (tmp_path / "checkpoints").symlink_to(trained)
    words = [*TINY, "--name", "tiny", "--dataroot", dataset, "--model", "cycle_gan"]
    ok(call_in(tmp_path, "test.py", *words, "--contact_sheet"))
    assert (tmp_path / "results" / "tiny" / "test_latest" / "contact_sheet.png").is_file()
