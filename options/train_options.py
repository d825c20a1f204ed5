"""What can be said to ``train.py``."""

import math
import os
from pathlib import Path

from checkpoint.state import remembered_options, saved_job_id
from checkpoint.weights import describe_available_weights, load_options
from distributed.context import get_world, job_id
from models.losses import GAN_LOSSES
from models.schedules import LR_POLICIES
from options.base_options import BaseOptions
from util.errors import UserError
from util.flags import Flag, choice, count_or_inf, float_range, int_range, switch

#: What belongs to one start of a run, not to the run.
PER_START_OPTIONS = (
    "name", "suffix", "checkpoints_dir", "continue_train", "init_from", "epoch", "load_iter",
    "epoch_count", "verbose", "report_memory",
)  # fmt: skip
#: What says where a run begins, and no more when it goes on.
START_OPTIONS = ("init_from", "epoch", "load_iter", "epoch_count")
#: What a run cannot change on its way.
FIXED_OPTIONS = (
    "model", "netG", "netD", "ngf", "ndf", "n_layers_D", "norm", "no_dropout", "input_nc",
    "output_nc", "direction", "dataset_mode",
)  # fmt: skip


class TrainOptions(BaseOptions):
    """The options of ``train.py``."""

    about = "Train a model on a folder of images."
    is_train = True
    flags = {
        "display_freq": Flag(400, int_range(1), "images between two displays of images"),
        "display_ncols": Flag(
            4, int_range(0), "visdom: columns of the grid; 0 for separate windows"
        ),
        "display_id": Flag(1, int, "visdom: window number; below 1 for no visdom"),
        "display_server": Flag("http://localhost", str, "visdom: address of the server"),
        "display_env": Flag("main", str, "visdom: environment"),
        "display_port": Flag(8097, int_range(1, 65535), "visdom: port"),
        "tensorboard": switch("write what TensorBoard shows, to the folder of the run"),
        "use_wandb": switch("send losses and images to Weights & Biases"),
        "update_html_freq": Flag(1000, int_range(1), "images between two updates of the page"),
        "print_freq": Flag(100, int_range(1), "images between two lines of losses"),
        "no_html": switch("make no page"),
        "save_latest_freq": Flag(
            5000, int_range(1), "images between two saves of the latest weights"
        ),
        "save_epoch_freq": Flag(5, int_range(1), "epochs between two saves of numbered weights"),
        "save_minutes": Flag(
            10.0, float_range(0), "save the latest state after so many minutes, 0 never"
        ),
        "save_by_iter": switch("keep the weights of every --save_latest_freq, as iter_<n>"),
        "keep_last": Flag(math.inf, count_or_inf, "keep only so many of the numbered weights"),
        "skip_nonfinite": Flag(
            0, int_range(0), "updates to leave out for NaN before the run stops"
        ),
        "deterministic": switch("on a GPU too, the same numbers each time; slower"),
        "capture": choice(
            "auto", ("auto", "on", "off"), "on a GPU, replay the step as one CUDA graph"
        ),
        "grad_checkpoint": switch("compute activations twice, to store a part of them only"),
        "continue_train": switch("go on where the run of this name stopped"),
        "init_from": Flag("", str, "start with the networks in this folder of another run"),
        "epoch_count": Flag(1, int_range(1), "number of the first epoch"),
        "phase": Flag("train", str, "train, or another pair of folders in the data set"),
        "n_epochs": Flag(100, int_range(0), "epochs at the full learning rate"),
        "n_epochs_decay": Flag(100, int_range(0), "epochs in which it falls to zero"),
        "beta1": Flag(0.5, float_range(0, below=1), "momentum of Adam"),
        "lr": Flag(0.0002, float_range(0), "learning rate of Adam"),
        "ema": Flag(
            0.0, float_range(0, below=1), "decay of the generators' moving average; 0 for none"
        ),
        "gan_mode": choice("lsgan", GAN_LOSSES, "objective of the discriminators"),
        "pool_size": Flag(50, int_range(0), "past fakes kept for the discriminators"),
        "lr_policy": choice("linear", LR_POLICIES, "how the learning rate falls"),
        "lr_decay_iters": Flag(50, int_range(1), "epochs between two drops of --lr_policy step"),
    }

    def restarted(self, folder: Path, typed: dict) -> dict:
        """The same words that began the run now go on with it."""
        again = get_world().restarts or int(os.environ.get("SLURM_RESTART_COUNT", 0))
        if not again or not job_id() or saved_job_id(folder) != job_id():
            return typed
        return {k: v for k, v in typed.items() if k not in START_OPTIONS} | {"continue_train": True}

    def remembered(self, folder: Path, typed: dict) -> dict:
        """With ``--continue_train``, all that the run was started with."""
        if not typed.get("continue_train") or typed.get("init_from"):
            return {}
        if not folder.is_dir():
            raise UserError(
                f"--continue_train: no run {folder.name}; {describe_available_weights(folder)}"
            )
        found = remembered_options(folder) or load_options(folder)
        for name in FIXED_OPTIONS:
            if name in typed and name in found and typed[name] != found[name]:
                raise UserError(
                    f"--{name} {typed[name]}: {folder} was trained with {found[name]}, which "
                    "cannot change on the way; leave it out, or start a new run with "
                    f"--init_from {folder}"
                )
        return {name: value for name, value in found.items() if name not in PER_START_OPTIONS}
