"""Translate images with a trained model, and make a page of the results.

    python test.py --dataroot ./datasets/selfie2anime/testA --name selfie2anime --model test

`--help` lists every option.
"""

import contextlib
from argparse import Namespace
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from checkpoint.weights import weights_prefix
from data import create_dataset
from distributed.context import distributed_session, get_world
from engine.device import configure_process
from engine.executor import StepExecutor
from engine.memory import explain_out_of_memory, report
from models import create_model
from options import TestOptions
from options.base_options import describe
from reporting.html.results_page import ImageSizes, ResultsPage
from util.errors import report_user_errors
from util.files import write_text
from util.packages import require_packages


def test(opt: Namespace) -> None:
    """Translate the images; write them and the page that shows them."""
    configure_process()
    dataset = create_dataset(Namespace(**{**vars(opt), "batch_size": inference_batch_size(opt)}))
    for note in opt.notes:
        print(note)
    print(describe(opt))
    model = create_model(opt).setup(opt)
    executor = StepExecutor(model, opt)
    model.train(not opt.eval)

    world = get_world()
    quiet = None if world.is_main else True
    bar = tqdm(total=len(dataset), unit=" images", disable=quiet, leave=False)
    there, done = dataset.expected, 0
    sizes = dataset.own_sizes() if opt.keep_size else {}
    with explain_out_of_memory(opt), bar, open_page(opt, model.translations(), sizes) as page:
        for batch in dataset.iter_sharded():
            if "A" not in batch:  # another process has it
                page.pass_over(model.sources_in(batch))
                continue
            page.add(executor.test(batch), model.get_image_paths())
            bar.update(world.size * len(batch["A"]))
            done += len(batch["A"])
    (done,) = world.all_reduce_sum([done])
    broken = set(chain.from_iterable(world.gather(list(dataset.broken))))
    if world.is_main:
        text = f"{done:.0f} of {there} images written to {page.index}"
        print(summary(opt, text, len(dataset) < len(dataset.dataset), len(broken)))
        with tolerate_read_only(model.folder):
            write_text(model.folder / "test_opt.txt", describe(opt) + "\n")
    if opt.report_memory:
        print(report(model, executor.device))


def summary(opt: Namespace, text: str, limited: bool, broken: int) -> str:
    """The last line: what was written, and why it is not all."""
    why = []
    if limited:
        why.append(f"limited by --num_test {opt.num_test}")
    if broken:
        why.append(f"{broken} could not be read")
    return text + (f" ({', '.join(why)})" if why else "")


@contextlib.contextmanager
def tolerate_read_only(folder: Path) -> Iterator[None]:
    """The run may be somebody else's: that its options cannot be noted there harms no result."""
    try:
        yield
    except OSError as error:
        print(f"note: {folder} cannot be written to ({error.strerror}): no test_opt.txt there")


def inference_batch_size(opt: Namespace) -> int:
    """How many images of a size to translate at once, where it does not change the results."""
    if "batch_size" in opt.typed or opt.tile or (opt.norm == "batch" and not opt.eval):
        return opt.batch_size
    return 4


def open_page(opt: Namespace, pairs: dict[str, str], sizes: ImageSizes) -> ResultsPage:
    """The page for the weights and the images that ``opt`` names; ``sizes`` are to be kept."""
    require_packages("the page of the results", "dominate")
    epoch = weights_prefix(opt)
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
    with report_user_errors(), distributed_session():
        test(TestOptions().parse())
