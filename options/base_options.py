"""The flags that ``train.py`` and ``test.py`` share, and how a command's flags come together."""

import math
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data import DATASETS
from data.transforms import PREPROCESS
from distributed.context import get_world
from models import MODELS
from models.networks import DISCRIMINATORS, GENERATORS, INIT_TYPES, NORMS
from options.parser import is_value, parse_typed
from options.rules import check
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

COMMON = {
    "dataroot": Flag(None, str, "folder of images, as its data set needs it (required)"),
    "name": Flag("experiment_name", str, "name of the run: the folder for its files"),
    "gpu_ids": Flag([0], gpu_list, "GPU to use, or one a process, as 0,1; -1 for the CPU"),
    "checkpoints_dir": Flag("./checkpoints", str, "where the folders of runs are"),
    "model": choice("cycle_gan", MODELS, "the method"),
    "input_nc": Flag(3, int_range(1), "channels of the images that go in: 3 color, 1 gray"),
    "output_nc": Flag(3, int_range(1), "channels of the images that come out"),
    "bit_depth": Flag(8, int_choice(*QUANTIZERS), "bits a channel: 8, or 16 for gray images"),
    "ngf": Flag(64, int_range(1), "channels of the generator's first and last layers"),
    "ndf": Flag(64, int_range(1), "channels of the discriminator's first layer"),
    "netD": choice("basic", DISCRIMINATORS, "discriminator; basic is the 70×70 PatchGAN"),
    "netG": choice("resnet_9blocks", GENERATORS, "generator"),
    "n_layers_D": Flag(3, int_range(1), "layers of --netD n_layers"),
    "norm": choice("instance", NORMS, "normalization in the networks"),
    "init_type": choice("normal", INIT_TYPES, "how fresh weights are draw_image"),
    "init_gain": Flag(0.02, float_range(0), "scale of fresh weights"),
    "no_dropout": switch("no dropout in the generator"),
    "dataset_mode": choice("unaligned", DATASETS, "how the images are laid out"),
    "direction": choice("AtoB", ("AtoB", "BtoA"), "which way to translate"),
    "serial_batches": switch("take the images in order, not shuffled"),
    "num_threads": Flag(4, int_range(0), "processes that read images; 0 reads in the main one"),
    "batch_size": Flag(1, int_range(1), "images a step"),
    "load_size": Flag(286, int_range(1), "scale images to this size"),
    "crop_size": Flag(256, int_range(1), "then cut out a square of this size"),
    "max_dataset_size": Flag(math.inf, count_or_inf, "use at most so many images of a folder"),
    "cache": choice("auto", ("auto", "off"), "keep scaled images in memory if they fit"),
    "preprocess": choice("resize_and_crop", PREPROCESS, "how images are brought to size"),
    "no_flip": switch("do not mirror images at random"),
    "display_winsize": Flag(256, int_range(1), "width of images on the pages, in pixels"),
    "epoch": Flag("latest", str, "which weights to load: an epoch's number, or latest"),
    "load_iter": Flag(
        0, int_range(0), "load iter_<n>_net_*.pth in place of an epoch's, if above 0"
    ),
    "verbose": switch("print the layers of the networks"),
    "suffix": Flag("", str, "appended to the name, as in {model}_{netG}_size{load_size}"),
    "strict_data": switch("an image that cannot be read is an error; else it is left out"),
    "seed": Flag(0, int_range(0, 2**63 - 1), "of everything that is random"),
    "precision": choice("auto", ("auto", "fp32", "bf16"), "number format of the computation"),
    "report_memory": switch("print the peak of memory at the end, by part"),
    "compile": choice("auto", ("auto", "on", "off"), "compile the networks"),
}


class BaseOptions:
    """A command's flags. A subclass names its own ones, its defaults and its phase."""

    flags: dict[str, Flag] = {}
    defaults: dict[str, object] = {}
    about = ""
    is_train = False

    def parse(self, args: Sequence[str] | None = None) -> Namespace:
        """The options for ``args``, a list of words, or for the command line.

        Typed values come first, then what the run remembers, the model's defaults, the command's.
        Bad input prints one line and exits with 2; nothing is written. Of several processes the
        first one decides for all of them.
        """
        with report_user_errors():
            return get_world().decide_on_main(lambda: self.resolve(args))

    def resolve(self, args: Sequence[str] | None) -> Namespace:
        """As `parse`, but bad input raises `UserError`."""
        typed = parse_typed(self.tables(), args, self.about)
        name = _full_name(self._assemble(typed, {}))
        folder = Path(typed.get("checkpoints_dir", COMMON["checkpoints_dir"].default)) / name
        typed = self.restarted(folder, typed)
        memory = self.remembered(folder, typed)
        self._refuse_wrong_memory(folder, {k: v for k, v in memory.items() if k not in typed})
        opt = self._assemble(typed, memory)
        opt.name = name
        opt.notes = [
            f"note: --{flag} {typed[flag]} as typed; {name} was trained with {value}"
            for flag, value in memory.items() if flag in typed and typed[flag] != value
        ]  # fmt: skip
        check(opt)
        return opt

    def _assemble(self, typed: dict, memory: dict) -> Namespace:
        """All options: the command's defaults, then the model's, memory, and what was typed."""
        known = {**memory, **typed}
        model = MODELS[known.get("model", self.defaults.get("model", COMMON["model"].default))]
        self._refuse_foreign_flags(typed, model)
        used = COMMON | self.flags | model.flags
        defaults = {name: flag.default for name, flag in used.items()}
        changed = {**self.defaults, **model.defaults}
        defaults |= {name: value for name, value in changed.items() if name in defaults}
        known = {name: value for name, value in known.items() if name in defaults}
        opt = Namespace(**{**defaults, **known}, isTrain=self.is_train)
        self.finish(opt, known)
        opt.typed, opt.defaults = typed, defaults
        return opt

    def tables(self) -> dict[str, dict[str, Flag]]:
        """All flags of this command, in groups."""
        common = {
            name: replace(flag, default=self.defaults.get(name, flag.default))
            for name, flag in COMMON.items()
        }
        groups = {"common": common, f"{self.phase()}ing": self.flags}
        for name, flag in (item for model in MODELS.values() for item in model.flags.items()):
            takers = ", ".join(each for each, model in MODELS.items() if name in model.flags)
            groups.setdefault(f"--model {takers}", {})[name] = flag
        return groups

    def phase(self) -> str:
        """``train`` or ``test``."""
        return "train" if self.is_train else "test"

    def restarted(self, folder: Path, typed: dict) -> dict:
        """``typed`` as it should be read where a job is started again, whose run is there."""
        return typed

    def remembered(self, folder: Path, typed: dict) -> dict:
        """Options of the run in ``folder`` that hold unless others were ``typed``."""
        return {}

    def finish(self, opt: Namespace, settled: dict) -> None:
        """Fill in defaults that depend on other values; ``settled`` ones stay."""

    def _refuse_wrong_memory(self, folder: Path, memory: dict) -> None:
        """Somebody may have edited the file of options that a run leaves behind."""
        for flags in self.tables().values():
            for name, flag in flags.items():
                if name in memory and not is_value(flag, memory[name]):
                    raise UserError(
                        f"{folder} remembers {memory[name]!r} for --{name}, which cannot be; "
                        "type the right value or mend its train_opt.json"
                    )

    def _refuse_foreign_flags(self, typed: dict, model: type) -> None:
        for name, other in MODELS.items():
            for flag in other.flags:
                if flag in typed and flag not in model.flags:
                    raise UserError(f"--{flag} belongs to --model {name}; leave it out")


def _full_name(opt: Namespace) -> str:
    if not opt.suffix:
        return opt.name
    try:
        return f"{opt.name}_{opt.suffix.format(**vars(opt))}"
    except (KeyError, IndexError, AttributeError) as error:
        raise UserError(f"--suffix {opt.suffix!r}: {error} is not the name of an option") from None
    except (ValueError, TypeError) as error:
        raise UserError(f"--suffix {opt.suffix!r}: {error}; write it as in {{netG}}") from None


def describe(opt: Namespace) -> str:
    """The options as the block that opens every run; other values than the default are marked."""
    lines = ["----------------- Options ---------------"]
    for name, value in sorted(public(opt).items()):
        default = opt.defaults.get(name, value)
        mark = f"\t[default: {default}]" if value != default else ""
        lines.append(f"{name:>25}: {printable(str(value)):<30}{mark}".rstrip(" "))
    return "\n".join([*lines, "----------------- End -------------------"])


def public(opt: Namespace) -> dict[str, object]:
    """The options proper, without what the parser notes about them."""
    notes = ("typed", "defaults", "notes", "backward")
    return {name: value for name, value in vars(opt).items() if name not in notes}
