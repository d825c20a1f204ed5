"""What can be said to ``train.py``."""

import math
import os
from pathlib import Path

from models.losses import GAN_LOSSES
from models.schedules import LR_POLICIES
from options.base_options import BaseOptions
from util.checkpoint import load_options, what_is_there
from util.errors import UserError
from util.flags import Flag, choice, count_or_inf, real, switch, whole
from util.processes import here, job
from util.run_state import job_of, remembered_options

#: What belongs to one start of a run, not to the run.
FORGOTTEN = (
    "name", "suffix", "checkpoints_dir", "continue_train", "init_from", "epoch", "load_iter",
    "epoch_count", "verbose", "report_memory",
)  # fmt: skip
#: What says where a run begins, and no more when it goes on.
BEGINNINGS = ("init_from", "epoch", "load_iter", "epoch_count")
#: What a run cannot change on its way.
FIXED = (
    "model", "netG", "netD", "ngf", "ndf", "n_layers_D", "norm", "no_dropout", "input_nc",
    "output_nc", "direction", "dataset_mode",
)  # fmt: skip


class TrainOptions(BaseOptions):
    """The options of ``train.py``."""

    about = "Train a model on a folder of pictures."
    is_train = True
    flags = {
        "display_freq": Flag(400, whole(1), "pictures between two displays of pictures"),
        "display_ncols": Flag(4, whole(0), "visdom: columns of the grid; 0 for separate windows"),
        "display_id": Flag(1, int, "visdom: window number; below 1 for no visdom"),
        "display_server": Flag("http://localhost", str, "visdom: address of the server"),
        "display_env": Flag("main", str, "visdom: environment"),
        "display_port": Flag(8097, whole(1, 65535), "visdom: port"),
        "tensorboard": switch("write what TensorBoard shows, to the folder of the run"),
        "use_wandb": switch("send losses and pictures to Weights & Biases"),
        "update_html_freq": Flag(1000, whole(1), "pictures between two updates of the page"),
        "print_freq": Flag(100, whole(1), "pictures between two lines of losses"),
        "no_html": switch("make no page"),
        "save_latest_freq": Flag(
            5000, whole(1), "pictures between two saves of the latest weights"
        ),
        "save_epoch_freq": Flag(5, whole(1), "epochs between two saves of numbered weights"),
        "save_minutes": Flag(10.0, real(0), "save the latest state after so many minutes, 0 never"),
        "save_by_iter": switch("keep the weights of every --save_latest_freq, as iter_<n>"),
        "keep_last": Flag(math.inf, count_or_inf, "keep only so many of the numbered weights"),
        "skip_nonfinite": Flag(0, whole(0), "updates to leave out for NaN before the run stops"),
        "deterministic": switch("on a GPU too, the same numbers each time; slower"),
        "capture": choice(
            "auto", ("auto", "on", "off"), "on a GPU, replay the step as one CUDA graph"
        ),
        "grad_checkpoint": switch("compute activations twice, to store a part of them only"),
        "continue_train": switch("go on where the run of this name stopped"),
        "init_from": Flag("", str, "start with the networks in this folder of another run"),
        "epoch_count": Flag(1, whole(1), "number of the first epoch"),
        "phase": Flag("train", str, "train, or another pair of folders in the data set"),
        "n_epochs": Flag(100, whole(0), "epochs at the full learning rate"),
        "n_epochs_decay": Flag(100, whole(0), "epochs in which it falls to zero"),
        "beta1": Flag(0.5, real(0, below=1), "momentum of Adam"),
        "lr": Flag(0.0002, real(0), "learning rate of Adam"),
        "ema": Flag(0.0, real(0, below=1), "decay of the generators' moving average; 0 for none"),
        "gan_mode": choice("lsgan", GAN_LOSSES, "objective of the discriminators"),
        "pool_size": Flag(50, whole(0), "past fakes kept for the discriminators"),
        "lr_policy": choice("linear", LR_POLICIES, "how the learning rate falls"),
        "lr_decay_iters": Flag(50, whole(1), "epochs between two drops of --lr_policy step"),
    }

    def restarted(self, folder: Path, typed: dict) -> dict:
        """The same words that began the run now go on with it."""
        again = here().restarts or int(os.environ.get("SLURM_RESTART_COUNT", 0))
        if not again or not job() or job_of(folder) != job():
            return typed
        return {k: v for k, v in typed.items() if k not in BEGINNINGS} | {"continue_train": True}

    def remembered(self, folder: Path, typed: dict) -> dict:
        """With ``--continue_train``, all that the run was started with."""
        if not typed.get("continue_train") or typed.get("init_from"):
            return {}
        if not folder.is_dir():
            raise UserError(f"--continue_train: no run {folder.name}; {what_is_there(folder)}")
        found = remembered_options(folder) or load_options(folder)
        for name in FIXED:
            if name in typed and name in found and typed[name] != found[name]:
                raise UserError(
                    f"--{name} {typed[name]}: {folder} was trained with {found[name]}, which "
                    "cannot change on the way; leave it out, or start a new run with "
                    f"--init_from {folder}"
                )
        return {name: value for name, value in found.items() if name not in FORGOTTEN}
