"""Translate images with a trained model, and make a page of the results.

    python test.py --dataroot ./datasets/selfie2anime/testA --name selfie2anime --model test

`--help` lists every option.
"""

import util.environment  # noqa: F401  # explains missing packages; must come first

# isort: split
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
from engine.memory import explain_out_of_memory, memory_report
from models import create_model
from options import TestOptions
from options.base_options import format_options
from reporting.html.results_page import ImageSizes, ResultsPage
from util.errors import report_user_errors
from util.files import write_text
from util.packages import require_packages

INFERENCE_BATCH_SIZE = 4  # unless --batch_size is given


def test(opt: Namespace) -> None:
    """Translate the images; write them and the page that shows them."""
    configure_process()
    dataset = create_dataset(Namespace(**{**vars(opt), "batch_size": inference_batch_size(opt)}))
    for note in opt.notes:
        print(note)
    print(format_options(opt))
    model = create_model(opt).setup(opt)
    executor = StepExecutor(model, opt)
    model.train(not opt.eval)

    # Every rank translates its share of the batches and lists all of them for the page.
    world = get_world()
    bar = tqdm(
        total=len(dataset), unit=" images", disable=None if world.is_main else True, leave=False
    )
    sizes = dataset.original_sizes() if opt.keep_size else {}
    translated = 0
    with explain_out_of_memory(opt), bar, open_page(opt, model.translations(), sizes) as page:
        for batch in dataset.iter_sharded():
            if "A" not in batch:  # only the paths: another rank translates it
                page.pass_over(model.visual_paths(batch))
                continue
            page.add(executor.test(batch), model.get_image_paths())
            bar.update(world.size * len(batch["A"]))
            translated += len(batch["A"])

    (total,) = world.all_reduce_sum([translated])
    broken = set(chain.from_iterable(world.gather(list(dataset.broken))))
    if world.is_main:
        text = f"{total:.0f} of {dataset.num_found} images written to {page.index}"
        print(text + incomplete_reason(opt, len(dataset) < len(dataset.dataset), len(broken)))
        with tolerate_read_only(model.save_dir):
            write_text(model.save_dir / "test_opt.txt", format_options(opt) + "\n")
    if opt.report_memory:
        print(memory_report(model, executor.device))


def incomplete_reason(opt: Namespace, is_limited: bool, num_broken: int) -> str:
    """Say why not all images were written, in parentheses; empty if all were."""
    reasons = []
    if is_limited:
        reasons.append(f"limited by --num_test {opt.num_test}")
    if num_broken:
        reasons.append(f"{num_broken} could not be read")
    return f" ({', '.join(reasons)})" if reasons else ""


@contextlib.contextmanager
def tolerate_read_only(folder: Path) -> Iterator[None]:
    """Print a note if ``folder``, perhaps that of another user, cannot be written to."""
    try:
        yield
    except OSError as error:
        print(f"note: {folder} cannot be written to ({error.strerror}): no test_opt.txt there")


def inference_batch_size(opt: Namespace) -> int:
    """Return how many images of one size to translate at once without changing the results."""
    batch_statistics = opt.norm == "batch" and not opt.eval
    if "batch_size" in opt.explicit or opt.tile or batch_statistics:
        return opt.batch_size
    return INFERENCE_BATCH_SIZE


def open_page(opt: Namespace, pairs: dict[str, str], sizes: ImageSizes) -> ResultsPage:
    """Open the page for the weights and images that ``opt`` names; ``sizes`` are to be kept."""
    require_packages("the page of the results", "dominate")
    epoch = weights_prefix(opt)
    root = Path(opt.dataroot)
    return ResultsPage(
        Path(opt.results_dir) / opt.name / f"{opt.phase}_{epoch}",
        f"{opt.name}: {opt.phase}, epoch {epoch}"
        + (f", {opt.direction}" if len(pairs) == 1 else ""),
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
