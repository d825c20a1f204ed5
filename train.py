"""Train a model on two folders of pictures.

    python train.py --dataroot ./datasets/selfie2anime --name selfie2anime --model cycle_gan
    python train.py --name selfie2anime --continue_train        # goes on where it stopped
    torchrun --nproc_per_node=4 train.py …                      # on four GPUs

`--help` lists every option. While it runs, look at checkpoints/<name>/web/index.html.
"""

from argparse import Namespace

from options import TrainOptions
from training import Run, locked
from util.device import prepare_process
from util.errors import polite_errors
from util.memory import report, told_when_full
from util.processes import joined


def train(opt: Namespace) -> None:
    """The story of a run: for every epoch, for every batch, one step; and now and then a look."""
    prepare_process()
    with told_when_full(opt), locked(opt), Run(opt) as run:
        for _ in run.epochs():
            for batch in run.batches():
                run.step(batch)
                if run.progress.passed(opt.print_freq):
                    run.show_losses()
                if run.progress.passed(opt.display_freq):
                    run.show_pictures()
                if run.progress.passed(opt.update_html_freq):
                    run.update_page()
                if run.progress.passed(opt.save_latest_freq) or run.save_is_due:
                    run.save_latest()
                if run.stop.received:
                    run.leave()
            run.end_epoch()
        run.tell_of_broken_pictures()
    if opt.report_memory:
        print(report(run.model, run.runner.device))


if __name__ == "__main__":
    with polite_errors(), joined():
        train(TrainOptions().parse())
