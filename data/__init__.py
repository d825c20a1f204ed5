"""Images on disk → batches: the same ones for the same seed, from any point of a run."""

import math
from argparse import Namespace

from data.aligned_dataset import AlignedDataset
from data.colorization_dataset import ColorizationDataset
from data.loader import ImageLoader
from data.single_dataset import SingleDataset
from data.unaligned_dataset import UnalignedDataset

DATASETS = {
    "unaligned": UnalignedDataset,
    "aligned": AlignedDataset,
    "colorization": ColorizationDataset,
    "single": SingleDataset,
}


def create_dataset(opt: Namespace) -> ImageLoader:
    """The images under ``opt.dataroot`` as an iterable of batches; ``len`` is their number.

    A batch is a dictionary: ``A`` and/or ``B``, float tensors (N, C, H, W) in [-1, 1], and
    ``A_paths``/``B_paths``, lists of N file names. Raises `UserError` for folders that are missing
    or empty and images that do not fit the options.
    """
    limit = math.inf if opt.isTrain else opt.num_test
    return ImageLoader(DATASETS[opt.dataset_mode](opt), opt, limit)


def create_samples(opt: Namespace, count: int) -> ImageLoader:
    """The first ``count`` images as ``test.py`` sees them: the fixed set shown while training.

    They come from the test folders where there are some, so that they were not trained on.
    """
    changed = {
        "isTrain": False, "serial_batches": True, "no_flip": True, "load_size": opt.crop_size,
        "batch_size": 1, "max_dataset_size": count, "num_threads": 0, "cache": "off",
        "keep_size": False,
    }  # fmt: skip
    dataset = DATASETS[opt.dataset_mode]
    phase = "test" if dataset.has_phase(opt, "test") else opt.phase
    sample_opt = Namespace(**{**vars(opt), **changed, "phase": phase})
    return ImageLoader(dataset(sample_opt), sample_opt)
