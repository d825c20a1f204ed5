"""Validation of options: every check returns a message with the remedy, or None."""

import shlex
from argparse import Namespace
from collections.abc import Callable, Iterable
from pathlib import Path

from data import DATASETS
from data.image_io import list_images
from data.transforms import PREPROCESS
from distributed.context import get_world
from engine.device import select_device
from engine.tiling import MIN_OVERLAP
from metrics.evaluate import METRICS, check_metrics
from metrics.features import AUTO
from metrics.folders import names_of
from models import MODELS
from models.networks import generator_options, min_image_size
from models.networks.resnet import ResnetGenerator
from options.parser import command_line_words, format_value
from reporting import enabled_loggers
from util.errors import UserError
from util.packages import require_packages


def check(opt: Namespace) -> None:
    """Raise `UserError` with the message of the first check that fails."""
    for find_problem in CHECKS:
        if problem := find_problem(opt):
            raise UserError(problem)
    select_device(opt.gpu_ids, explicit="gpu_ids" in opt.explicit)


def check_name(name: str) -> None:
    """Raise `UserError` unless ``name`` is the path of a folder within the folder of runs."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError(f"--name {name!r}: is not valid Unicode; choose another name") from None
    parts = Path(name).parts  # () for "" and "."
    if not parts or Path(name).is_absolute() or ".." in parts:
        raise UserError(f"--name {name!r}: give a name without '..' or a leading '/'")


def check_image_sizes(opt: Namespace, sides: Iterable[int]) -> None:
    """Raise `UserError` if an image is too small for the networks; ``sides`` are in pixels."""
    smallest = min(sides)
    if problem := _too_small(opt, smallest, f"the smallest image has a side of {smallest} pixels"):
        raise UserError(problem)


def _too_small(opt: Namespace, side: int, what: str) -> str | None:
    required = min_image_size(opt.netD, opt.n_layers_D, opt.norm)
    if side >= required:
        return None
    return f"{what}: --netD {opt.netD} needs at least {required} pixels; use larger images"


# --- data ----------------------------------------------------------------------------------------


def check_dataroot(opt: Namespace) -> str | None:
    return None if opt.dataroot else "--dataroot is missing: pass the folder of the dataset"


def check_phase_and_epoch(opt: Namespace) -> str | None:
    for flag in ("phase", "epoch"):
        value = vars(opt)[flag]
        if value != Path(value).name or not value:
            return f"--{flag} {value!r}: give a plain name, without '/'"
    return None


def check_crop_size(opt: Namespace) -> str | None:
    is_scaled = opt.preprocess in ("resize_and_crop", "scale_width_and_crop")
    is_cropped = opt.isTrain or not opt.keep_size
    if is_scaled and is_cropped and opt.crop_size > opt.load_size:
        return (
            f"--crop_size {opt.crop_size} is larger than --load_size {opt.load_size}: "
            "the crop does not fit into the scaled image; lower one or raise the other"
        )
    return None


def check_bit_depth(opt: Namespace) -> str | None:
    if opt.bit_depth == 8 or opt.input_nc == opt.output_nc == 1:
        return None
    return (
        f"--bit_depth {opt.bit_depth} is for grayscale images only: "
        "add --input_nc 1 --output_nc 1, or use --bit_depth 8"
    )


def check_batch_shapes(opt: Namespace) -> str | None:
    if opt.isTrain and opt.batch_size > 1 and not PREPROCESS[opt.preprocess].crops:
        return (
            f"--batch_size {opt.batch_size}: --preprocess {opt.preprocess} leaves images of "
            "different sizes; use --batch_size 1 or a --preprocess that crops"
        )
    return None


# --- model and losses ----------------------------------------------------------------------------


def check_preset(opt: Namespace) -> str | None:
    if opt.isTrain and opt.preset != "classic" and opt.model != "cycle_gan":
        return f"--preset {opt.preset}: has options of --model cycle_gan; leave it out"
    return None


def check_dataset_mode(opt: Namespace) -> str | None:
    return _check_allowed(opt, "dataset_mode", MODELS[opt.model].dataset_modes)


def check_direction(opt: Namespace) -> str | None:
    return _check_allowed(opt, "direction", MODELS[opt.model].directions)


def check_gan_mode(opt: Namespace) -> str | None:
    return _check_allowed(opt, "gan_mode", MODELS[opt.model].gan_modes) if opt.isTrain else None


def _check_allowed(opt: Namespace, flag: str, allowed: tuple[str, ...]) -> str | None:
    value = vars(opt)[flag]
    if value in allowed:
        return None
    return f"--{flag} {value}: --model {opt.model} takes {' or '.join(allowed)}"


def check_channels(opt: Namespace) -> str | None:
    for flag, allowed in MODELS[opt.model].channels.items():
        if vars(opt)[flag] not in allowed:
            counts = " or ".join(map(str, allowed))
            return (
                f"--{flag} {vars(opt)[flag]}: --model {opt.model} takes images of {counts} "
                f"channels{_suggest_models(opt)}"
            )
    return None


def _suggest_models(opt: Namespace) -> str:
    """Name the models for these channels: the run may have been trained with one of them."""
    fitting = [
        name
        for name, model in MODELS.items()
        if all(vars(opt)[flag] in allowed for flag, allowed in model.channels.items())
    ]
    if not fitting:
        return ""
    return f"; for {opt.input_nc} → {opt.output_nc} channels use --model {' or '.join(fitting)}"


def check_discriminator_input(opt: Namespace) -> str | None:
    if not opt.isTrain or not PREPROCESS[opt.preprocess].crops:
        return None
    return _too_small(opt, opt.crop_size, f"--crop_size {opt.crop_size}")


def check_identity_loss(opt: Namespace) -> str | None:
    is_used = opt.isTrain and opt.model == "cycle_gan" and opt.lambda_identity > 0
    if not is_used or opt.input_nc == opt.output_nc:
        return None
    return (
        f"--input_nc {opt.input_nc} and --output_nc {opt.output_nc} differ: "
        "the identity loss needs equal channels; add --lambda_identity 0"
    )


def check_penalty_shapes(opt: Namespace) -> str | None:
    if not opt.isTrain or PREPROCESS[opt.preprocess].crops:
        return None
    if opt.gan_mode in ("wgangp", "relativistic"):
        cause = f"--gan_mode {opt.gan_mode}"
    elif vars(opt).get("lambda_gp0", 0) > 0:
        cause = f"--lambda_gp0 {opt.lambda_gp0}"
    else:
        return None
    return (
        f"{cause}: needs real and fake images of equal size; "
        f"replace --preprocess {opt.preprocess} with a mode that crops"
    )


# --- run and machine -----------------------------------------------------------------------------


def check_packages(opt: Namespace) -> str | None:
    if opt.isTrain:
        for flag, logger in enabled_loggers(opt).items():
            feature = f"training without --{flag}" if flag.startswith("no_") else f"--{flag}"
            require_packages(feature, *logger.packages)
    return None


def check_epoch_count(opt: Namespace) -> str | None:
    if not opt.isTrain or 1 <= opt.epoch_count <= opt.n_epochs + opt.n_epochs_decay:
        return None
    return (
        f"--epoch_count {opt.epoch_count} is beyond the last epoch, "
        f"{opt.n_epochs + opt.n_epochs_decay}; raise --n_epochs or --n_epochs_decay"
    )


def check_run_start(opt: Namespace) -> str | None:
    if opt.isTrain and opt.continue_train and opt.init_from:
        return "--init_from starts a new run, --continue_train resumes one; leave one out"
    return None


def check_grad_checkpoint(opt: Namespace) -> str | None:
    if not opt.isTrain or not opt.grad_checkpoint:
        return None
    if not opt.netG.startswith("resnet"):
        return f"--grad_checkpoint: --netG {opt.netG} has no residual blocks to recompute"
    if opt.norm == "batch":
        return (
            "--grad_checkpoint: with --norm batch, running statistics would be updated twice per "
            "batch; use --norm instance"
        )
    return None


def check_residual(opt: Namespace) -> str | None:
    if opt.residual == "off" or opt.input_nc == opt.output_nc:
        return None
    return (
        f"--residual on: adds {opt.output_nc} channels to an image of {opt.input_nc}; "
        "use --residual off"
    )


def check_generator_options(opt: Namespace) -> str | None:
    for flag in ("upsample", "skip", "residual"):
        value = vars(opt)[flag]
        if value != opt.defaults[flag] and flag not in generator_options(opt.netG):
            return (
                f"--{flag} {value}: --netG {opt.netG} has no such option; "
                f"use --{flag} {opt.defaults[flag]}"
            )
    return None


def check_tiling(opt: Namespace) -> str | None:
    if opt.isTrain or not opt.tile:
        return None
    if not opt.netG.startswith("resnet"):
        return f"--tile: every output pixel of --netG {opt.netG} depends on all of the image"
    if opt.skip != "none" or opt.residual != "off":
        return "--tile: does not support --skip add and --residual on; leave it out"
    if not (opt.no_dropout or opt.eval):
        return "--tile: dropout would differ between tiles; add --no_dropout or --eval"

    for flag in ("tile", "overlap"):
        if vars(opt)[flag] % ResnetGenerator.stride:
            return f"--{flag} {vars(opt)[flag]}: give a multiple of {ResnetGenerator.stride}"
    if not MIN_OVERLAP <= opt.overlap <= opt.tile // 2:
        return (
            f"--overlap {opt.overlap}: give at least {MIN_OVERLAP} pixels, to avoid seams, "
            f"and at most half of --tile {opt.tile}"
        )
    return None


def check_gpu_ids(opt: Namespace) -> str | None:
    if len(opt.gpu_ids) < 2 or get_world().is_distributed:
        return None
    script = "train.py" if opt.isTrain else "test.py"
    return (
        f"--gpu_ids {format_value(opt.gpu_ids)}: each process uses one GPU; type "
        f"torchrun --nproc_per_node={len(opt.gpu_ids)} {script} "
        f"{shlex.join(command_line_words(opt.explicit))}"
    )


def check_evaluation(opt: Namespace) -> str | None:
    if not opt.isTrain:
        return None
    if not opt.eval_freq:
        for flag in ("save_best", "early_stop"):
            if vars(opt)[flag]:
                return f"--{flag}: nothing is measured; add --eval_freq 1"
        if opt.lr_policy == "plateau":
            return (
                "--lr_policy plateau: follows a metric of the images, because GAN losses do not "
                "fall as images get better; add --eval_freq 1, or use linear, step or cosine"
            )
        return None

    metrics = opt.eval_metrics.split(",")
    if opt.eval_metrics == AUTO:
        return "--eval_metrics auto: name the metrics, for example kid,l1"
    check_metrics(metrics, "--eval_metrics")
    if opt.save_best and opt.save_best not in metrics:
        return f"--save_best {opt.save_best}: is not one of --eval_metrics {opt.eval_metrics}"
    return _check_test_images(opt, metrics)


def _check_test_images(opt: Namespace, metrics: list[str]) -> str | None:
    dataset = DATASETS[opt.dataset_mode]
    if not opt.dataroot or not dataset.has_phase(opt, "test"):
        return f"--eval_freq {opt.eval_freq}: there are no test images in {opt.dataroot}"

    paired = [name for name in metrics if METRICS[name].is_paired]
    if paired and opt.dataset_mode == "unaligned" and not _has_counterparts(opt):
        return (
            f"--eval_metrics {','.join(paired)}: needs true counterparts, testA and testB with "
            "equal file names and no random crops; use kid or fid"
        )
    return None


def _has_counterparts(opt: Namespace) -> bool:
    """Whether testA and testB have equal names, and are not cropped at random."""
    folders = DATASETS[opt.dataset_mode].folders(opt, "test")
    names_A, names_B = (set(names_of(list_images(folder), folder)) for folder in folders)
    # create_samples() sets load_size to crop_size, so that resize_and_crop crops nothing
    is_whole = opt.preprocess == "resize_and_crop" or not PREPROCESS[opt.preprocess].crops
    return names_A == names_B and is_whole


CHECKS: tuple[Callable[[Namespace], str | None], ...] = (
    check_dataroot,
    check_phase_and_epoch,
    check_preset,
    check_dataset_mode,
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
    check_generator_options,
    check_residual,
    check_tiling,
    check_gpu_ids,
    check_run_start,
    check_evaluation,
)
