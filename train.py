"""Train a model on two folders of images.

    python train.py --dataroot ./datasets/selfie2anime --name selfie2anime --model cycle_gan
    python train.py --name selfie2anime --continue_train        # resume exactly where it stopped
    torchrun --nproc_per_node=4 train.py ...                    # on four GPUs

`--help` lists every option. While it runs, open checkpoints/<name>/web/index.html.
"""

from argparse import Namespace

import util.environment  # noqa: F401  # explains missing packages; must come first
from distributed.context import distributed_session
from engine.device import configure_process
from engine.memory import explain_out_of_memory, memory_report
from options import TrainOptions
from training.trainer import Trainer, run_lock
from util.errors import report_user_errors


def train(opt: Namespace) -> None:
    """Run all remaining epochs: a step for every batch; reports, pages and saves in between."""
    configure_process()
    with explain_out_of_memory(opt), run_lock(opt), Trainer(opt) as trainer:
        for _ in trainer.epochs():
            for batch in trainer.batches():
                trainer.step(batch)

                if trainer.progress.every(opt.print_freq):
                    trainer.show_losses()
                if trainer.progress.every(opt.display_freq):
                    trainer.show_images()
                if trainer.progress.every(opt.update_html_freq):
                    trainer.update_page()
                if trainer.progress.every(opt.save_latest_freq) or trainer.save_is_due:
                    trainer.save_latest()
                # After the reports of this step, which a resumed run does not repeat
                if trainer.stop_signal:  # Ctrl-C, or a signal of the scheduler
                    trainer.save_and_exit()

            trainer.end_epoch()
        trainer.report_broken_images()

    if opt.report_memory:
        print(memory_report(trainer.model, trainer.executor.device))


if __name__ == "__main__":
    with report_user_errors(), distributed_session():
        train(TrainOptions().parse())
