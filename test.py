"""Translate pictures with a trained model, and make a page of the results.

    python test.py --dataroot ./datasets/selfie2anime/testA --name selfie2anime --model test

`--help` lists every option.
"""

import contextlib
from argparse import Namespace
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from data import create_dataset
from models import create_model
from options import TestOptions
from options.base_options import describe
from util.checkpoint import suffix_of
from util.device import prepare_process
from util.errors import polite_errors
from util.files import write_text
from util.memory import report, told_when_full
from util.packages import require
from util.processes import here, joined
from util.results_page import ResultsPage, Sizes
from util.runner import Runner


def test(opt: Namespace) -> None:
    """Translate the pictures; write them and the page that shows them."""
    prepare_process()
    dataset = create_dataset(Namespace(**{**vars(opt), "batch_size": pictures_together(opt)}))
    for note in opt.notes:
        print(note)
    print(describe(opt))
    model = create_model(opt).setup(opt)
    runner = Runner(model, opt)
    model.train(not opt.eval)

    world = here()
    quiet = None if world.first else True
    bar = tqdm(total=len(dataset), unit=" pictures", disable=quiet, leave=False)
    there, done = dataset.expected, 0
    sizes = dataset.own_sizes() if opt.keep_size else {}
    with told_when_full(opt), bar, open_page(opt, model.translations(), sizes) as page:
        for batch in dataset.in_turn():
            if "A" not in batch:  # another process has it
                page.pass_over(model.sources_in(batch))
                continue
            page.add(runner.test(batch), model.get_image_paths())
            bar.update(world.size * len(batch["A"]))
            done += len(batch["A"])
    (done,) = world.total([done])
    broken = set(chain.from_iterable(world.gather(list(dataset.broken))))
    if world.first:
        text = f"{done:.0f} of {there} images written to {page.index}"
        print(summary(opt, text, len(dataset) < len(dataset.dataset), len(broken)))
        with told_when_read_only(model.folder):
            write_text(model.folder / "test_opt.txt", describe(opt) + "\n")
    if opt.report_memory:
        print(report(model, runner.device))


def summary(opt: Namespace, text: str, limited: bool, broken: int) -> str:
    """The last line: what was written, and why it is not all."""
    why = []
    if limited:
        why.append(f"limited by --num_test {opt.num_test}")
    if broken:
        why.append(f"{broken} could not be read")
    return text + (f" ({', '.join(why)})" if why else "")


@contextlib.contextmanager
def told_when_read_only(folder: Path) -> Iterator[None]:
    """The run may be somebody else's: that its options cannot be noted there harms no result."""
    try:
        yield
    except OSError as error:
        print(f"note: {folder} cannot be written to ({error.strerror}): no test_opt.txt there")


def pictures_together(opt: Namespace) -> int:
    """How many pictures of a size to translate at once, where it does not change the results."""
    if "batch_size" in opt.typed or opt.tile or (opt.norm == "batch" and not opt.eval):
        return opt.batch_size
    return 4


def open_page(opt: Namespace, pairs: dict[str, str], sizes: Sizes) -> ResultsPage:
    """The page for the weights and the pictures that ``opt`` names; ``sizes`` are to be kept."""
    require("the page of the results", "dominate")
    epoch = suffix_of(opt)
    root = Path(opt.dataroot)
    return ResultsPage(
        Path(opt.results_dir) / opt.name / f"{opt.phase}_{epoch}",
        f"{opt.name}: {opt.phase}, epoch {epoch}, {opt.direction}",
        roots=[root / f"{opt.phase}{side}" for side in ("A", "B", "")] + [root],
        pairs=pairs,
        width=opt.display_winsize,
        sizes=sizes,
        bit_depth=opt.bit_depth,
        aspect_ratio=opt.aspect_ratio,
        contact_sheet=opt.contact_sheet,
    )


if __name__ == "__main__":
    with polite_errors(), joined():
        test(TestOptions().parse())
