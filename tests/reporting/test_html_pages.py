"""The pages in a real browser, from the disk, without a network."""

from __future__ import annotations

import json
import os
import re

import pytest
import torch
from helpers.browser import PHONE, WIDE, browse, needs_browser
from helpers.commands import TINY, call_in, ok
from PIL import Image

from reporting.history import Record
from reporting.html.contact_sheet import contact_sheet
from reporting.html.results_page import ResultsPage
from reporting.html.training_page import TrainingPage, format_duration

#: A script that leaves the value of a JavaScript expression in the DOM.
MEASURE = """
    addEventListener("load", () => setTimeout(() => {{
        const result = document.createElement("output");
        result.id = "result";
        result.textContent = JSON.stringify({expression});
        document.body.append(result);
    }}, 500));"""


def measure(page, tmp_path, expression: str, script: str = "", size=WIDE):
    """The value of a JavaScript expression after ``page`` is loaded and ``script`` has run."""
    dom = browse(page, tmp_path, script + MEASURE.format(expression=expression), size)
    (text,) = re.findall(r'<output id="result">(.*?)</output>', dom)
    return json.loads(text)


@pytest.fixture
def page(tmp_path):
    """A page of 30 results of 24×16 pixels, called p00 … p29."""
    return results_page(tmp_path, ("real", "fake"), {"fake": "real"}, count=30)


def results_page(tmp_path, labels, pairs, *, count=1, height=16, width=24) -> ResultsPage:
    """A page of uniform images: the first label is gray, the last one white."""
    settings = {"roots": [tmp_path], "pairs": pairs, "width": 64, "aspect_ratio": 1.0}
    levels = torch.linspace(0, 1, len(labels)).view(-1, 1, 1, 1, 1).expand(-1, 1, 3, height, width)
    with ResultsPage(tmp_path / "results", "Test", **settings, contact_sheet=True) as page:
        for i in range(count):
            sources = {label: [str(tmp_path / f"p{i:02d}.jpg")] for label in labels}
            page.add(dict(zip(labels, levels, strict=True)), sources)
    return page


def test_a_results_page_loads_nothing_from_the_network(page):
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


PRESS = """
    document.querySelectorAll("button.enlarge")[{card}].click();
    for (const key of {keys}) {{
        // Where a browser delivers a key: an element that was removed no longer has the focus.
        const event = new KeyboardEvent("keydown", {{ key, bubbles: true, cancelable: true }});
        document.activeElement.dispatchEvent(event);
    }}"""


@needs_browser
@pytest.mark.parametrize(
    ("keys", "name"),
    [
        (["ArrowRight"] * 5, "p08"),
        (["ArrowRight", "ArrowRight", "ArrowLeft"], "p04"),
        (["ArrowLeft"] * 9, "p00"),
    ],
)
def test_arrow_keys_in_full_size_work_again_and_again(keys, name, page, tmp_path):
    dom = browse(page.index, tmp_path, PRESS.format(card=3, keys=json.dumps(keys)))
    assert f'<p id="caption">{name}</p>' in dom
    assert re.search(r'<dialog id="view" open="">', dom)


#: The sizes of the elements of a selector, as [[width, height], …].
SIZES = """[...document.querySelectorAll({selector!r})].map(element => {{
    const box = element.getBoundingClientRect();
    return [box.width, box.height];
}})"""


@needs_browser
@pytest.mark.parametrize("window", [WIDE, PHONE])
@pytest.mark.parametrize(
    ("width", "height"), [(64, 64), (256, 256), (640, 480), (1500, 300), (40, 1200)]
)
def test_full_size_keeps_the_shape_of_an_image(width, height, window, tmp_path):
    made = results_page(tmp_path, ("real", "fake"), {"fake": "real"}, width=width, height=height)
    sizes = SIZES.format(selector="dialog img, dialog .compare")
    boxes, (inner_width, inner_height) = measure(
        made.index,
        tmp_path,
        f"[{sizes}, [innerWidth, innerHeight]]",
        'document.querySelector("button.enlarge").click();',
        window,
    )
    assert len(boxes) == 3
    assert inner_width == window[0]
    for box_width, box_height in boxes:
        assert box_width / box_height == pytest.approx(width / height, rel=0.02)
        assert box_width <= inner_width and box_height <= inner_height
    if window == WIDE and width == height:
        assert boxes[0][0] == pytest.approx(512, abs=1)


@needs_browser
@pytest.mark.parametrize("labels", [("real_A", "fake_B", "real_B"), ("real_A", "f", "real_B_rgb")])
def test_the_target_of_a_pair_is_shown(labels, tmp_path):
    labels = tuple("fake_B_rgb" if label == "f" else label for label in labels)
    made = results_page(tmp_path, labels, {labels[1]: "real_A"})
    target = f'img[src$="p00_{labels[2]}.png"]'
    card, full_size, links = measure(
        made.index,
        tmp_path,
        f"[{SIZES.format(selector='.gallery ' + target)}, "
        f"{SIZES.format(selector='dialog ' + target)}, "
        f"document.querySelectorAll('figcaption a[href$=\"{labels[2]}.png\"]').length]",
        'document.querySelector("button.enlarge").click();',
    )
    assert len(card) == len(full_size) == links == 1
    assert min(card[0]) > 20
    assert full_size[0][0] > 300


def test_an_unpaired_image_is_no_target(tmp_path):
    pairs = {"fake_B": "real_A", "fake_A": "real_B"}
    made = results_page(tmp_path, ("real_A", "fake_B", "real_B", "fake_A"), pairs)
    text = made.index.read_text("utf-8")
    assert text.count("<figure") == 2
    assert "target" not in re.sub("<(style|script)>.*?</\\1>", "", text, flags=re.DOTALL)


# --- the page of a training ------------------------------------------------------------------


@pytest.fixture
def training_page(make_run, tmp_path):
    """``training_page(epochs)``: the page of a run that has shown so many epochs."""

    def make(epochs: int, records: int = 50, labels=("real_A", "fake_B")) -> TrainingPage:
        run = make_run("--display_winsize", 64, folder=tmp_path / f"a<b> {epochs}")
        page = TrainingPage(run)
        for i in range(1, records + 1):
            run.history.add(Record(1, i, i, 2e-4, 0.1, 0.0, {"G_A": 1 / i, "D_A": 0.5}))
        for run.epoch in range(1, epochs + 1):
            run.warnings = ["fake_B: <odd>"] if run.epoch == epochs else []
            sample = {label: torch.full((1, 3, 8, 8), run.epoch / 99) for label in labels}
            page.images([sample, sample])
        return page

    return make


def test_an_update_costs_the_same_in_every_epoch(training_page):
    sizes = {}
    for epochs in (2, 60):
        made = training_page(epochs, records=3000)
        sizes[epochs] = sum(path.stat().st_size for path in made.folder.glob("*.*"))
    assert sizes[60] < 1.02 * sizes[2]


@needs_browser
def test_the_training_page_shows_everything(training_page, tmp_path):
    made = training_page(3)
    dom = browse(made.folder / "index.html", tmp_path)
    assert "epoch 3 of 9" in dom and "learning rate 0.0002" in dom and "left" in dom
    assert "ended" not in dom
    assert dom.count("<polyline") == 4  # two losses, each with its running mean
    assert "fake_B: &lt;odd&gt;" in dom and "a&lt;b&gt;" in dom
    assert dom.count("epoch003_fake_B") == 2 * 2  # address of image and link, twice
    assert "torch" in dom and "commit" in dom


@needs_browser
def test_a_page_without_losses_shows_no_empty_panel_and_its_end(training_page, tmp_path):
    made = training_page(1, records=0)
    made.close()
    dom = browse(made.folder / "index.html", tmp_path)
    assert '<section hidden="" id="losses">' in dom or 'id="losses" hidden=""' in dom
    assert "epoch 1 of 9, ended" in dom


@needs_browser
def test_the_slider_goes_through_the_epochs(training_page, tmp_path):
    made = training_page(3)
    made.close()
    dom = browse(made.folder / "index.html", tmp_path, """
        addEventListener("load", () => {
            document.getElementById("epoch").value = 0;
            document.getElementById("epoch").dispatchEvent(new Event("input"));
        });""")  # fmt: skip
    assert dom.count("epoch001_fake_B") == 2 * 2
    assert '<span id="shown">1</span>' in dom


# --- loss curves ------------------------------------------------------------------------------


@needs_browser
def test_the_pointer_reads_a_curve(training_page, tmp_path):
    made = training_page(1)
    made.close()
    dom = browse(made.folder / "index.html", tmp_path, """
        addEventListener("load", () => {
            const svg = document.querySelector("#losses svg"), box = svg.getBoundingClientRect();
            svg.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left }));
        });""")  # fmt: skip
    assert "1.000 at epoch 0.1" in dom


@needs_browser
def test_a_curve_has_its_points_its_mean_and_its_scale(training_page, tmp_path):
    """The points of G_A are 1/i, those of D_A constant: so is their mean."""
    made = training_page(1)
    figures = measure(
        made.folder / "index.html",
        tmp_path,
        """[...document.querySelectorAll("#losses figure")].map(figure => ({
            text: [...figure.querySelectorAll("span, output")].map(e => e.textContent),
            lines: [...figure.querySelectorAll("polyline")].map(e => e.getAttribute("points")),
        }))""",
    )
    G_A, D_A = figures
    assert G_A["text"] == ["G_A", "0.020", "1.00", "0", "epoch 0.1", "5.0"]
    points, mean = (
        [tuple(map(float, p.split(","))) for p in line.split()] for line in G_A["lines"]
    )
    assert len(points) == len(mean) == 50
    assert points[0] == (0, 0) and points[-1] == (300, pytest.approx(130 * 49 / 50, abs=0.1))
    assert points[1][1] == pytest.approx(65, abs=0.1)
    assert mean[0] == points[0]
    assert points[1][1] > mean[1][1] > points[0][1]

    flat = {tuple(map(float, p.split(",")))[1] for line in D_A["lines"] for p in line.split()}
    assert flat == {0.0}


@needs_browser
def test_an_infinite_loss_is_left_out_and_negative_ones_are_shown(training_page, tmp_path):
    made = training_page(1, records=0)
    for i, value in enumerate((1.0, float("inf"), float("nan"), -1.0), start=1):
        made.run.history.add(Record(1, i, i, 2e-4, 0.1, 0.0, {"D_A": value}))
    made.close()
    text, points = measure(
        made.folder / "index.html",
        tmp_path,
        """[[...document.querySelectorAll("#losses span, #losses output")].map(e => e.textContent),
            document.querySelector("#losses .raw").getAttribute("points")]""",
    )
    assert text == ["D_A", "-1.000", "1.00", "-1.00", "epoch 0.1", "0.4"]
    assert points == "0.0,0.0 300.0,130.0"


@needs_browser
@pytest.mark.parametrize("name", [os.fsdecode(b"a\xff"), "a\u2028</script>'\""])
def test_any_name_of_a_run_gives_a_valid_script(name, make_run, tmp_path):
    run = make_run()
    run.opt.name = name
    page = TrainingPage(run)
    page.images([{"fake_B": torch.zeros(1, 3, 8, 8)}])
    page.close()
    dom = browse(page.folder / "index.html", tmp_path)
    assert "epoch 1 of 9, ended" in dom


@needs_browser
def test_an_open_page_reloads_its_data_and_stops_at_the_end(training_page, tmp_path):
    """The page is opened with the data of epoch 1; those of epoch 2 come while it is open."""
    made = training_page(1)
    page = made.folder / "index.html"
    text = page.read_text("utf-8")
    assert 'src="data.js"' in text and "RELOAD_INTERVAL_MS = 5000" in text
    text = text.replace('src="data.js"', 'src="first.js"')
    text = text.replace("RELOAD_INTERVAL_MS = 5000", "RELOAD_INTERVAL_MS = 50")
    page.write_text(text, encoding="utf-8")
    (made.folder / "data.js").rename(made.folder / "first.js")

    made.run.epoch = 2
    made.close()
    assert '"live": false' in (made.folder / "data.js").read_text("utf-8")
    dom = browse(page, tmp_path)
    assert "epoch 2 of 9, ended" in dom


@needs_browser
def test_captions_are_readable_on_a_phone(training_page, tmp_path):
    labels = ("real_A", "fake_B", "rec_A", "idt_B", "real_B", "fake_A", "rec_B", "idt_A")
    made = training_page(1, labels=labels)
    heights, scroll = measure(
        made.folder / "index.html",
        tmp_path,
        """[[...document.querySelectorAll("figcaption")].map(e => e.clientHeight),
            document.documentElement.scrollWidth - innerWidth]""",
        size=PHONE,
    )
    assert len(heights) == 16
    assert max(heights) < 40  # one line
    assert scroll <= 0


def test_durations_are_rounded():
    durations = [format_duration(seconds) for seconds in (20, 3599, 3600, 90000)]
    assert durations == ["0 min", "1 h 0 min", "1 h 0 min", "1 d 1 h"]


def test_the_command_writes_the_contact_sheet(dataset, trained, tmp_path):
    (tmp_path / "checkpoints").symlink_to(trained)
    words = [*TINY, "--name", "tiny", "--dataroot", dataset, "--model", "cycle_gan"]
    ok(call_in(tmp_path, "test.py", *words, "--contact_sheet"))
    assert (tmp_path / "results" / "tiny" / "test_latest" / "contact_sheet.png").is_file()
