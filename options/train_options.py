"""Options of ``train.py``."""

import math
import os
from dataclasses import replace
from pathlib import Path

from checkpoint.run_options import load_options
from checkpoint.state import remembered_options, saved_job_id
from checkpoint.weights import describe_available_weights
from distributed.context import get_world, job_id
from metrics import FEATURES, METRICS
from metrics.features import AUTO
from models import MODELS
from models.losses import GAN_LOSSES
from models.schedules import LR_POLICIES
from options.base_options import COMMON, DISPLAY_WINSIZE, WHICH_WEIGHTS, BaseOptions, merge_groups
from options.metric_flags import metric_names
from options.parser import FlagGroups
from reporting import logger_flags
from util.errors import UserError
from util.flags import Flag, choice, count_or_inf, float_range, int_range, switch

#: Options that select where a run starts; they have no effect when it is resumed.
START_OPTIONS = ("init_from", "epoch", "load_iter", "epoch_count")
#: Options of one start of the program, which a resumed run does not inherit.
PER_START_OPTIONS = (
    *START_OPTIONS,
    "name",
    "suffix",
    "checkpoints_dir",
    "continue_train",
    "verbose",
    "report_memory",
)
#: Options that cannot change when a run is resumed.
FIXED_OPTIONS = (
    "model",
    "preset",
    "netG",
    "netD",
    "ngf",
    "ndf",
    "n_layers_D",
    "norm",
    "no_dropout",
    "upsample",
    "skip",
    "residual",
    "spectral_norm",
    "input_nc",
    "output_nc",
    "direction",
    "dataset_mode",
)


TRAIN: FlagGroups = {
    "data": {
        "phase": Flag("train", str, "split of the dataset: trainA and trainB, or train"),
    },
    "training": {
        "n_epochs": Flag(100, int_range(0), "epochs at the initial learning rate"),
        "n_epochs_decay": Flag(100, int_range(0), "epochs of linear learning-rate decay to zero"),
        "beta1": Flag(0.5, float_range(0, below=1), "beta1 of Adam"),
        "ema": Flag(
            0.0, float_range(0, below=1), "decay of the generators' moving average; 0: none"
        ),
        "skip_nonfinite": Flag(
            0, int_range(0), "updates with NaN or infinity to skip before training stops"
        ),
    },
    "learning rate": {
        "lr": Flag(0.0002, float_range(0), "initial learning rate of Adam"),
        "lr_D": Flag(
            0.0, float_range(0), "initial learning rate of the discriminators; 0: that of --lr"
        ),
        "lr_policy": choice("linear", LR_POLICIES, "learning-rate schedule"),
        "lr_decay_iters": Flag(50, int_range(1), "epochs per step of --lr_policy step"),
        "lr_warmup": Flag(0, int_range(0), "epochs of linear warm-up of the learning rate"),
    },
    "losses": {
        "gan_mode": choice("lsgan", GAN_LOSSES, "GAN objective"),
        "pool_size": Flag(
            50, int_range(0), "generated images kept for the discriminators (image pool)"
        ),
    },
    "evaluation": {
        "eval_freq": Flag(
            0, int_range(0), "epochs between evaluations of the test images; 0: none"
        ),
        "eval_metrics": Flag("kid", metric_names, f"metrics, of {','.join(METRICS)}"),
        "eval_features": choice(
            "auto", (AUTO, *FEATURES), "network of kid, fid, precision, recall"
        ),
        "save_best": Flag("", str, "metric whose best networks are kept, as best_net_*.pth"),
        "early_stop": Flag(
            0, int_range(0), "stop after N evaluations without a new best value; 0: never"
        ),
    },
    "logging and display": {
        "print_freq": Flag(100, int_range(1), "images between printed losses"),
        "display_freq": Flag(
            400, int_range(1), "images between updates of visdom, TensorBoard and W&B"
        ),
        **DISPLAY_WINSIZE,
        **logger_flags(),
    },
    "saving and resuming": {
        "continue_train": switch("resume the run of this name exactly where it stopped"),
        "init_from": Flag("", str, "start a new run from the networks in this folder"),
        **WHICH_WEIGHTS,
        "epoch_count": Flag(1, int_range(1), "number of the first epoch"),
        "save_latest_freq": Flag(5000, int_range(1), "images between saves of the latest state"),
        "save_minutes": Flag(
            10.0, float_range(0), "minutes between saves of the latest state; 0: never"
        ),
        "save_epoch_freq": Flag(5, int_range(1), "epochs between numbered weights"),
        "save_by_iter": switch("keep the weights of each --save_latest_freq as iter_N"),
        "keep_last": Flag(math.inf, count_or_inf, "numbered weights to keep: the last N"),
    },
    "device and speed": {
        "capture": choice("auto", ("auto", "on", "off"), "replay training steps as one CUDA graph"),
        "deterministic": switch("deterministic kernels on GPUs: reproducible, slower"),
        "grad_checkpoint": switch("recompute activations to save memory"),
    },
}


class TrainOptions(BaseOptions):
    """The options of ``train.py``."""

    description = "Train a model on a dataset of images."
    examples = (
        "examples:\n"
        "  python train.py --dataroot ./datasets/horse2zebra --name horse2zebra\n"
        "  python train.py --name horse2zebra --continue_train\n"
        "  python train.py --dataroot ./datasets/facades --name facades --model pix2pix"
    )
    is_train = True
    hidden = frozenset(
        name for model in MODELS.values() if not model.trainable for name in model.flags
    )
    groups = merge_groups(COMMON, TRAIN)

    def help_groups(self) -> FlagGroups:
        """Offer only models that can be trained."""
        trainable = {name: model for name, model in MODELS.items() if model.trainable}
        groups = super().help_groups()
        model = replace(groups["run"]["model"], kind=_trainable_model, choices=trainable)
        return {**groups, "run": {**groups["run"], "model": model}}

    def adapt_to_restart(self, folder: Path, explicit: dict) -> dict:
        """Resume the run if torchrun or Slurm has restarted the job that started it."""
        restarted = get_world().restarts or int(os.environ.get("SLURM_RESTART_COUNT", 0))
        if not restarted or not job_id() or saved_job_id(folder) != job_id():
            return explicit
        kept = {name: value for name, value in explicit.items() if name not in START_OPTIONS}
        return {**kept, "continue_train": True}

    def inherited_options(self, folder: Path, explicit: dict) -> dict:
        """Return all options of the run that ``--continue_train`` resumes."""
        if not explicit.get("continue_train") or explicit.get("init_from"):
            return {}
        if not folder.is_dir():
            raise UserError(
                f"--continue_train: no run {folder.name}; {describe_available_weights(folder)}"
            )

        found = remembered_options(folder) or load_options(folder)
        for name in FIXED_OPTIONS:
            if name in explicit and name in found and explicit[name] != found[name]:
                raise UserError(
                    f"--{name} {explicit[name]}: {folder} was trained with {found[name]}, which "
                    "cannot change when a run is resumed; leave it out, or start a new run with "
                    f"--init_from {folder}"
                )
        return {name: value for name, value in found.items() if name not in PER_START_OPTIONS}


def _trainable_model(name: str) -> str:
    """Refuse models that only ``test.py`` can use."""
    if name in MODELS and not MODELS[name].trainable:
        raise UserError(f"--model {name} cannot be trained; use it with test.py")
    return name
