"""Rules between flags. Each returns what is wrong and how to mend it, or nothing."""

import shlex
from argparse import Namespace
from collections.abc import Callable, Iterable
from pathlib import Path

from data.transforms import PREPROCESS
from distributed.context import get_world
from engine.device import select_device
from engine.tiling import MIN_OVERLAP
from models import MODELS
from models.networks import min_image_size
from models.networks.resnet import ResnetGenerator
from models.schedules import LR_POLICIES, EpochPlan
from util.errors import UserError
from util.packages import require_packages


def check(opt: Namespace) -> None:
    """Raise `UserError` for the first rule that ``opt`` breaks."""
    for rule in RULES:
        if problem := rule(opt):
            raise UserError(problem)
    select_device(opt.gpu_ids, typed="gpu_ids" in opt.typed)
    if opt.isTrain:
        LR_POLICIES[opt.lr_policy](
            1, EpochPlan(opt.n_epochs, opt.n_epochs_decay, opt.lr_decay_iters)
        )


def check_dataroot(opt: Namespace) -> str | None:
    return None if opt.dataroot else "--dataroot is missing: name the folder with the images"


def check_name(opt: Namespace) -> str | None:
    parts = Path(opt.name).parts  # none for "" and "."
    if parts and not Path(opt.name).is_absolute() and ".." not in parts:
        return None
    return f"--name {opt.name!r}: give a name without '..' or a leading '/'"


def check_phase_and_epoch(opt: Namespace) -> str | None:
    for flag in ("phase", "epoch"):
        value = vars(opt)[flag]
        if value != Path(value).name or not value:
            return f"--{flag} {value!r}: give a plain name, without '/'"
    return None


def check_dataset_mode(opt: Namespace) -> str | None:
    allowed = MODELS[opt.model].dataset_modes
    if opt.dataset_mode in allowed:
        return None
    return f"--dataset_mode {opt.dataset_mode}: --model {opt.model} takes {' or '.join(allowed)}"


def check_gan_mode(opt: Namespace) -> str | None:
    allowed = MODELS[opt.model].gan_modes
    if not opt.isTrain or opt.gan_mode in allowed:
        return None
    return f"--gan_mode {opt.gan_mode}: --model {opt.model} takes {' or '.join(allowed)}"


def check_direction(opt: Namespace) -> str | None:
    allowed = MODELS[opt.model].directions
    if opt.direction in allowed:
        return None
    return f"--direction {opt.direction}: --model {opt.model} takes {' or '.join(allowed)}"


def check_trainable(opt: Namespace) -> str | None:
    if opt.isTrain and not MODELS[opt.model].trainable:
        return f"--model {opt.model} cannot be trained; it is for test.py"
    return None


def check_crop_size(opt: Namespace) -> str | None:
    scaled_to_load = opt.preprocess in ("resize_and_crop", "scale_width_and_crop")
    cuts = opt.isTrain or not opt.keep_size
    if scaled_to_load and cuts and opt.crop_size > opt.load_size:
        return (
            f"--crop_size {opt.crop_size} is larger than --load_size {opt.load_size}: "
            "a square cannot be cut from a smaller image; lower one or raise the other"
        )
    return None


def check_discriminator_input(opt: Namespace) -> str | None:
    if not opt.isTrain or not PREPROCESS[opt.preprocess].crops:
        return None
    return _too_small(opt, opt.crop_size, f"--crop_size {opt.crop_size}")


def _too_small(opt: Namespace, side: int, what: str) -> str | None:
    least = min_image_size(opt.netD, opt.n_layers_D, opt.norm)
    if side >= least:
        return None
    return f"{what}: --netD {opt.netD} needs at least {least} pixels; use larger images"


def check_image_sizes(opt: Namespace, sides: Iterable[int]) -> None:
    """Raise `UserError` if the least of ``sides``, in pixels, is too small for the networks."""
    least = min(sides)
    if problem := _too_small(opt, least, f"the smallest image has a side of {least} pixels"):
        raise UserError(problem)


def check_identity_loss(opt: Namespace) -> str | None:
    compares = opt.isTrain and opt.model == "cycle_gan" and opt.lambda_identity > 0
    if not compares or opt.input_nc == opt.output_nc:
        return None
    return (
        f"--input_nc {opt.input_nc} and --output_nc {opt.output_nc} differ: "
        "the identity loss compares both; add --lambda_identity 0"
    )


def check_channels(opt: Namespace) -> str | None:
    for flag, allowed in MODELS[opt.model].channels.items():
        if vars(opt)[flag] not in allowed:
            numbers = " or ".join(map(str, allowed))
            return (
                f"--{flag} {vars(opt)[flag]}: --model {opt.model} takes images of {numbers} "
                f"channels{_models_for(opt)}"
            )
    return None


def _models_for(opt: Namespace) -> str:
    """The models that take so many channels, for a run that was trained with one of them."""
    fitting = [
        name for name, model in MODELS.items()
        if all(vars(opt)[flag] in allowed for flag, allowed in model.channels.items())
    ]  # fmt: skip
    channels = f"{opt.input_nc} → {opt.output_nc}"
    return f"; for {channels} there is --model {' or '.join(fitting)}" if fitting else ""


def check_bit_depth(opt: Namespace) -> str | None:
    if opt.bit_depth == 8 or opt.input_nc == opt.output_nc == 1:
        return None
    return (
        f"--bit_depth {opt.bit_depth}: only gray images are read and written so deep; "
        "add --input_nc 1 --output_nc 1, or leave it at 8"
    )


def check_batch_shapes(opt: Namespace) -> str | None:
    if opt.isTrain and opt.batch_size > 1 and not PREPROCESS[opt.preprocess].crops:
        return (
            f"--batch_size {opt.batch_size}: --preprocess {opt.preprocess} leaves images of "
            "different sizes; use --batch_size 1 or one of the modes that crop"
        )
    return None


def check_penalty_shapes(opt: Namespace) -> str | None:
    if not opt.isTrain or opt.gan_mode != "wgangp" or PREPROCESS[opt.preprocess].crops:
        return None
    return (
        f"--gan_mode wgangp: its penalty needs real and fake images of one size, which "
        f"--preprocess {opt.preprocess} leaves different; use one of the modes that crop"
    )


def check_packages(opt: Namespace) -> str | None:
    if opt.isTrain and opt.tensorboard:
        require_packages("--tensorboard", "tensorboard")
    if opt.isTrain and opt.use_wandb:
        require_packages("--use_wandb", "wandb")
    if opt.isTrain and not opt.no_html:
        require_packages("the page of the training, without which there is --no_html", "dominate")
    return None


def check_epoch_count(opt: Namespace) -> str | None:
    if not opt.isTrain or 1 <= opt.epoch_count <= opt.n_epochs + opt.n_epochs_decay:
        return None
    return (
        f"--epoch_count {opt.epoch_count} is beyond the last epoch, "
        f"{opt.n_epochs + opt.n_epochs_decay}; raise --n_epochs or --n_epochs_decay"
    )


def check_grad_checkpoint(opt: Namespace) -> str | None:
    if not opt.isTrain or not opt.grad_checkpoint:
        return None
    if not opt.netG.startswith("resnet"):
        return f"--grad_checkpoint: --netG {opt.netG} has no residual blocks to recompute"
    if opt.norm == "batch":
        return "--grad_checkpoint: --norm batch would count every batch twice; use --norm instance"
    return None


def check_tiling(opt: Namespace) -> str | None:
    if opt.isTrain or not opt.tile:
        return None
    if not opt.netG.startswith("resnet"):
        return f"--tile: --netG {opt.netG} looks at all of an image for every pixel; leave it out"
    if not (opt.no_dropout or opt.eval):
        return "--tile: dropout differs from tile to tile; add --no_dropout or --eval"
    for flag in ("tile", "overlap"):
        if vars(opt)[flag] % ResnetGenerator.stride:
            return f"--{flag} {vars(opt)[flag]}: give a multiple of {ResnetGenerator.stride}"
    if not MIN_OVERLAP <= opt.overlap <= opt.tile // 2:
        return (
            f"--overlap {opt.overlap}: give {MIN_OVERLAP} pixels or more, that no seam is seen, "
            f"and at most half of --tile {opt.tile}"
        )
    return None


def check_gpu_ids(opt: Namespace) -> str | None:
    if len(opt.gpu_ids) < 2 or get_world().is_distributed:
        return None
    script = "train.py" if opt.isTrain else "test.py"
    return (
        f"--gpu_ids {','.join(map(str, opt.gpu_ids))}: a process takes one GPU; type "
        f"torchrun --nproc_per_node={len(opt.gpu_ids)} {script} {_as_typed(opt)}"
    )


def _as_typed(opt: Namespace) -> str:
    """The words of the command line."""
    words = []
    for flag, value in opt.typed.items():
        if flag == "gpu_ids":
            value = ",".join(map(str, value))
        words += [f"--{flag}"] if value is True else [f"--{flag}", str(value)]
    return shlex.join(words)


def check_run_start(opt: Namespace) -> str | None:
    if opt.isTrain and opt.continue_train and opt.init_from:
        return "--init_from starts a new run and --continue_train goes on with one; leave one out"
    return None


RULES: tuple[Callable[[Namespace], str | None], ...] = (
    check_dataroot,
    check_name,
    check_phase_and_epoch,
    check_dataset_mode,
    check_trainable,
    check_gan_mode,
    check_direction,
    check_crop_size,
    check_discriminator_input,
    check_channels,
    check_bit_depth,
    check_identity_loss,
    check_batch_shapes,
    check_penalty_shapes,
    check_packages,
    check_epoch_count,
    check_grad_checkpoint,
    check_tiling,
    check_gpu_ids,
    check_run_start,
)
