"""Flags that all commands share, and the order in which the values of flags are resolved."""

import math
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data import DATASETS
from data.transforms import PREPROCESS
from distributed.context import get_world
from models import MODELS
from models.base_model import BaseModel
from models.networks import (
    DISCRIMINATORS,
    GENERATORS,
    INIT_TYPES,
    NORMS,
    RESIDUAL,
    SKIPS,
    UPSAMPLE,
)
from options.parser import FlagGroups, format_value, is_valid, parse_explicit
from options.presets import PRESETS
from options.rules import check, check_name
from util.errors import UserError, printable, report_user_errors
from util.flags import (
    Flag,
    choice,
    count_or_inf,
    float_range,
    gpu_list,
    int_choice,
    int_range,
    switch,
)
from util.images import QUANTIZERS

GROUP_ORDER = (
    "run",
    "data",
    "image preprocessing",
    "weights",
    "networks",
    "training",
    "learning rate",
    "losses",
    "results",
    "evaluation",
    "logging and display",
    "saving and resuming",
    "device and speed",
)

COMMON: FlagGroups = {
    "run": {
        "name": Flag("experiment_name", str, "name of the run: its folder in --checkpoints_dir"),
        "model": choice("cycle_gan", MODELS, "model"),
        "preset": choice("classic", PRESETS, "options in place of the defaults"),
        "checkpoints_dir": Flag("./checkpoints", str, "folder that contains all runs"),
        "suffix": Flag("", str, "appended to the name, as in {model}_{netG}_size{load_size}"),
        "seed": Flag(0, int_range(0, 2**63 - 1), "seed of all random numbers"),
        "verbose": switch("print the layers of the networks"),
    },
    "data": {
        "dataroot": Flag(None, str, "folder of the dataset (required)"),
        "dataset_mode": choice("unaligned", DATASETS, "layout of the dataset"),
        "direction": choice("AtoB", ("AtoB", "BtoA"), "direction of translation"),
        "input_nc": Flag(3, int_range(1), "channels of input images: 3 for RGB, 1 for grayscale"),
        "output_nc": Flag(3, int_range(1), "channels of output images"),
        "bit_depth": Flag(
            8, int_choice(*QUANTIZERS), "bits per channel: 8, or 16 for grayscale images"
        ),
        "batch_size": Flag(1, int_range(1), "images per batch in each process"),
        "serial_batches": switch("read images in order instead of shuffling them"),
        "max_dataset_size": Flag(math.inf, count_or_inf, "use at most N images of each folder"),
        "num_threads": Flag(
            4, int_range(0), "dataloader worker processes; 0 loads in the main process"
        ),
        "cache": choice("auto", ("auto", "off"), "keep scaled images in memory if they fit"),
        "strict_data": switch("stop at an unreadable image instead of skipping it"),
    },
    "image preprocessing": {
        "preprocess": choice("resize_and_crop", PREPROCESS, "how images are scaled and cropped"),
        "load_size": Flag(286, int_range(1), "scale images to this size in pixels"),
        "crop_size": Flag(256, int_range(1), "then crop a square of this size in pixels"),
        "no_flip": switch("no random horizontal flips"),
    },
    "networks": {
        "netG": choice("resnet_9blocks", GENERATORS, "generator"),
        "ngf": Flag(64, int_range(1), "channels of the generator's first and last layers"),
        "netD": choice("basic", DISCRIMINATORS, "discriminator; basic is the 70×70 PatchGAN"),
        "ndf": Flag(64, int_range(1), "channels of the discriminator's first layer"),
        "n_layers_D": Flag(3, int_range(1), "layers of --netD n_layers"),
        "norm": choice("instance", NORMS, "normalization layers"),
        "no_dropout": switch("no dropout in the generator"),
        "upsample": choice(
            "transpose", UPSAMPLE, "decoder layers; resize avoids checkerboard patterns"
        ),
        "skip": choice("none", SKIPS, "connections from encoder to decoder of a ResNet"),
        "residual": choice(
            "off", RESIDUAL, "on: a ResNet computes the change of the image, which is added to it"
        ),
        "spectral_norm": switch("spectral normalization in the discriminator, in place of --norm"),
        "init_type": choice("normal", INIT_TYPES, "initialization of the weights"),
        "init_gain": Flag(0.02, float_range(0), "scale of the initial weights"),
    },
    "device and speed": {
        "gpu_ids": Flag([0], gpu_list, "GPU to use, or one per process (0,1); -1 for the CPU"),
        "precision": choice("auto", ("auto", "fp32", "bf16"), "number format; bf16 by autocast"),
        "compile": choice("auto", ("auto", "on", "off"), "compile the networks (torch.compile)"),
        "report_memory": switch("print the peak memory at the end, by component"),
    },
}

#: Flags of both commands whose group depends on the command.
WHICH_WEIGHTS = {
    "epoch": Flag(
        "latest", str, "weights to load: the number of an epoch, latest, or best (with --save_best)"
    ),
    "load_iter": Flag(0, int_range(0), "load iter_N_net_*.pth instead, if N is above 0"),
}
DISPLAY_WINSIZE = {
    "display_winsize": Flag(256, int_range(1), "width of the images on HTML pages, in pixels"),
}


def merge_groups(*tables: FlagGroups) -> FlagGroups:
    """Merge tables of groups; a group has the flags of all tables, in their order."""
    titles = sorted({title for table in tables for title in table}, key=GROUP_ORDER.index)
    return {
        title: {name: flag for table in tables for name, flag in table.get(title, {}).items()}
        for title in titles
    }


class BaseOptions:
    """The options of a command. A subclass sets its flags, their defaults and its help texts."""

    groups: FlagGroups = COMMON
    defaults: dict[str, object] = {}  # replace those of the flags
    hidden: frozenset[str] = frozenset()  # accepted, but not shown by --help
    usage = "--dataroot DIR --name NAME [options]"
    description = ""
    examples = ""
    is_train = False

    def parse(self, args: Sequence[str] | None = None) -> Namespace:
        """Return the options for the words ``args``, by default those of the command line.

        Typed values take precedence, then values inherited from an existing run, those of the
        preset, the defaults of the model and those of the command. Invalid input prints one line
        and exits with status 2 before anything is written. In a distributed job the main process
        parses for all.
        """
        with report_user_errors():
            return get_world().decide_on_main(lambda: self.resolve(args))

    def resolve(self, args: Sequence[str] | None) -> Namespace:
        """Do the work of `parse`; raise `UserError` for invalid input."""
        explicit = parse_explicit(
            self.help_groups(),
            args,
            usage=self.usage,
            description=self.description,
            examples=self.examples,
            hidden=self.hidden,
        )

        # The folder of the run follows from the command line; it may contain options to inherit.
        first_pass = self._combine(explicit, {})
        name = _full_name(first_pass)
        folder = Path(first_pass.checkpoints_dir) / name
        explicit = self.adapt_to_restart(folder, explicit)
        inherited = self.inherited_options(folder, explicit)
        self._check_inherited(
            folder, {key: value for key, value in inherited.items() if key not in explicit}
        )

        opt = self._combine(explicit, inherited)
        opt.name = name
        opt.notes = [
            f"note: --{flag} {format_value(explicit[flag])} from the command line; "
            f"{name} was trained with {format_value(value)}"
            for flag, value in inherited.items()
            if flag in explicit and explicit[flag] != value
        ]
        check(opt)
        return opt

    def flags(self) -> dict[str, Flag]:
        """Return the flags of this command by name, without those of models."""
        return {name: flag for flags in self.groups.values() for name, flag in flags.items()}

    def help_groups(self) -> FlagGroups:
        """Return all flags in groups, with the defaults of this command, for the parser."""
        groups = {
            title: {
                name: replace(flag, default=self.defaults.get(name, flag.default))
                for name, flag in flags.items()
            }
            for title, flags in self.groups.items()
        }
        for model in MODELS.values():
            for name, flag in model.flags.items():
                users = ", ".join(key for key, other in MODELS.items() if name in other.flags)
                groups.setdefault(f"--model {users}", {})[name] = flag
        return groups

    def adapt_to_restart(self, folder: Path, explicit: dict) -> dict:
        """Return ``explicit`` as changed for a restarted job that owns the run in ``folder``."""
        return explicit

    def inherited_options(self, folder: Path, explicit: dict) -> dict:
        """Return options of the run in ``folder`` that hold unless ``explicit`` contains others."""
        return {}

    def preset_options(self, given: dict) -> dict:
        """Return the options of ``--preset``, which ``given`` may contain."""
        return PRESETS[given.get("preset", "classic")].options

    def fill_defaults(self, opt: Namespace, given: dict) -> None:
        """Set defaults in ``opt`` that depend on other values; ``given`` values stay."""

    def _combine(self, explicit: dict, inherited: dict) -> Namespace:
        """Return all options: defaults of command and model, inherited values, explicit values."""
        flags = self.flags()
        given = {**inherited, **explicit}
        model = MODELS[given.get("model", self.defaults.get("model", flags["model"].default))]
        _check_model_flags(explicit, model)

        flags |= model.flags
        defaults = {name: flag.default for name, flag in flags.items()}
        changed = {**self.defaults, **model.defaults}
        defaults |= {name: value for name, value in changed.items() if name in defaults}
        given = {name: value for name, value in given.items() if name in defaults}

        preset = self.preset_options(given)
        preset = {name: value for name, value in preset.items() if name in defaults}
        opt = Namespace(**{**defaults, **preset, **given}, isTrain=self.is_train)
        self.fill_defaults(opt, given)
        opt.explicit = explicit
        opt.defaults = defaults
        return opt

    def _check_inherited(self, folder: Path, inherited: dict) -> None:
        """Raise `UserError` for invalid values: the file of options may have been edited."""
        for flags in self.help_groups().values():
            for name, flag in flags.items():
                if name in inherited and not is_valid(flag, inherited[name]):
                    raise UserError(
                        f"--{name}: the options of {folder} contain the invalid value "
                        f"{inherited[name]!r}; correct it in train_opt.json or type a valid one"
                    )


def _check_model_flags(explicit: dict, model: type[BaseModel]) -> None:
    """Raise `UserError` if a flag of another model was given."""
    for name, other in MODELS.items():
        for flag in other.flags:
            if flag in explicit and flag not in model.flags:
                raise UserError(f"--{flag} is an option of --model {name}; leave it out")


def _full_name(opt: Namespace) -> str:
    """Return the name with its suffix, as a relative path without ``//`` and ``/./``."""
    name = opt.name
    if opt.suffix:
        try:
            name = f"{name}_{opt.suffix.format(**vars(opt))}"
        except (KeyError, IndexError, AttributeError) as error:
            raise UserError(f"--suffix {opt.suffix!r}: there is no option {error}") from None
        except (ValueError, TypeError) as error:
            raise UserError(f"--suffix {opt.suffix!r}: {error}; write it as in {{netG}}") from None
    check_name(name)
    return Path(name).as_posix()


def format_options(opt: Namespace) -> str:
    """Format the options as the block printed by every command; changed defaults are marked."""
    lines = ["----------------- Options ---------------"]
    for name, value in sorted(user_options(opt).items()):
        default = opt.defaults.get(name, value)
        mark = f"\t[default: {default}]" if value != default else ""
        lines.append(f"{name:>25}: {printable(str(value)):<30}{mark}".rstrip(" "))
    return "\n".join([*lines, "----------------- End -------------------"])


def user_options(opt: Namespace) -> dict[str, object]:
    """Return the options that a user can set, without the parser's own entries."""
    internal = ("explicit", "defaults", "notes", "backward")
    return {name: value for name, value in vars(opt).items() if name not in internal}
