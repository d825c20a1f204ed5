"""Options of ``evaluate.py``."""

import os
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from checkpoint.run_options import load_options
from checkpoint.weights import find_weights, weights_prefix
from data.transforms import get_preprocess
from metrics import FEATURES, METRICS
from metrics.comparison import DEFAULT_METRICS
from metrics.evaluate import check_metrics
from metrics.features import AUTO
from options.base_options import BaseOptions
from options.metric_flags import metric_names
from options.parser import FlagGroups
from options.test_options import INHERITED_OPTIONS, TestOptions
from util.errors import UserError
from util.flags import Flag, choice, int_range

RESULTS_JSON = "metrics.json"


EVALUATE: FlagGroups = {
    "metrics": {
        "metrics": Flag(
            AUTO,
            metric_names,
            f"of {','.join(METRICS)}; auto: kid,fid and, if the file names of both domains agree, "
            "l1,psnr,ssim",
        ),
        "features": choice(
            AUTO,
            {AUTO: None, **FEATURES},
            "network for kid and fid; auto: inception if its weights are here, else mobilenet",
        ),
        "features_weights": Flag("", str, "file of the network's weights, instead of fetching it"),
        "kid_subsets": Flag(100, int_range(1), "subsets that kid is averaged over"),
        "kid_subset_size": Flag(1000, int_range(2), "images per subset, at most half of a set"),
        "cache_dir": Flag("", str, "where features of real images are kept [in torch.hub's]"),
        "output": Flag(
            "", str, "file to write [metrics.json beside the weights; for --fake in --results_dir]"
        ),
    },
    "images of any program": {
        "real": Flag("", str, "folder of real images, or pattern as 'DIR/*_real_B.png'"),
        "fake": Flag("", str, "folder or pattern of generated images"),
        "source": Flag("", str, "folder or pattern of the images before translation"),
    },
}

#: Options of ``test.py`` that have no effect here.
WITHOUT_EFFECT = {
    "aspect_ratio",
    "contact_sheet",
    "display_winsize",
    "model_suffix",
    "report_memory",
    "strict_data",
}


class EvaluateOptions(TestOptions):
    """The options of ``test.py``, those of the metrics, and folders of images."""

    usage = "(--dataroot DIR --name NAME | --real DIR --fake DIR) [options]"
    description = (
        "Measure translated images: those of a trained model, in all its directions, or any.\n"
        "The images before translation and two halves of the target are measured beside them."
    )
    examples = (
        "examples:\n"
        "  python evaluate.py --dataroot ./datasets/fluent --name fluent\n"
        "  python evaluate.py --dataroot ./datasets/fluent --name fluent --epoch 20 --metrics kid\n"
        "  python evaluate.py --real ./datasets/fluent/testB --fake 'images/*_fake_B.png'"
    )
    defaults = {**TestOptions.defaults, "model": "cycle_gan"}
    groups = {**TestOptions.groups, **EVALUATE}
    hidden = TestOptions.hidden | WITHOUT_EFFECT

    def resolve(self, args: Sequence[str] | None) -> Namespace:
        """Extend `BaseOptions.resolve` by what ``evaluate.py`` needs to start."""
        opt = BaseOptions.resolve(self, args)
        opt.backward = False
        check_metrics(DEFAULT_METRICS if opt.metrics == AUTO else opt.metrics.split(","))
        if opt.output and Path(opt.output).is_dir():
            raise UserError(f"--output {opt.output} is a folder; name a file in it")
        if not opt.fake:
            _check_generators(opt)
            _check_pairs(opt)
        return opt

    def inherited_options(self, folder: Path, explicit: dict) -> dict:
        """Return the network options and, unless another was given, the model."""
        if "fake" in explicit:
            return {}
        found = load_options(folder)
        names = [*INHERITED_OPTIONS, "direction"]
        if explicit.get("model", found.get("model")) == found.get("model"):
            names += ["model", "dataset_mode"]
        return {name: found[name] for name in names if name in found}

    def fill_defaults(self, opt: Namespace, given: dict) -> None:
        """Need no dataset for folders of images."""
        super().fill_defaults(opt, given)
        if opt.real or opt.fake or opt.source:
            _check_folders(opt, given)
            opt.dataroot = os.devnull


def has_pairs(opt: Namespace) -> bool:
    """Return whether images A and B of one name show the same: not after separate random crops."""
    crops = get_preprocess(opt.preprocess, opt.keep_size).crops
    is_whole = opt.preprocess == "resize_and_crop" and opt.load_size == opt.crop_size
    return opt.dataset_mode != "unaligned" or not crops or is_whole


def _check_pairs(opt: Namespace) -> None:
    """Raise `UserError` for paired metrics of images that are cropped at random."""
    paired = [name for name in opt.metrics.split(",") if name != AUTO and METRICS[name].is_paired]
    if paired and not has_pairs(opt):
        raise UserError(
            f"--metrics {','.join(paired)}: --preprocess {opt.preprocess} with --load_size "
            f"{opt.load_size} and --crop_size {opt.crop_size} crops A and B at random, apart from "
            "each other; add --keep_size, or choose a --preprocess without crop"
        )


def _check_folders(opt: Namespace, given: dict) -> None:
    """Raise `UserError` if the folders of images are incomplete, or a dataset is given, too."""
    for flag in ("real", "fake"):
        if not vars(opt)[flag]:
            raise UserError(f"--{flag} is missing: name the folder of the {flag} images")
    if "dataroot" in given:
        raise UserError("--dataroot is for a trained model, --real and --fake are for images: "
                        "leave one out")  # fmt: skip


def _check_generators(opt: Namespace) -> None:
    """Raise `UserError` for runs whose translations have no target."""
    remedy = "translate with test.py, and compare with --real DIR --fake 'DIR/*_fake.png'"
    if opt.model == "test":
        raise UserError(f"--model test has no images to compare with; {remedy}")

    folder = Path(opt.checkpoints_dir) / opt.name
    found = find_weights(folder, weights_prefix(opt)).keys() & {"G_A", "G_B"}
    if opt.model == "cycle_gan" and len(found) == 1:
        raise UserError(f"{folder} has one generator only, {found.pop()}; {remedy}")
