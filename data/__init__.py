"""Images on disk → batches, the same for the same seed, from any point of a run.

May import `util` and `distributed` only. Start reading with `data.loader.ImageLoader`, then
`data.unaligned_dataset`, `data.image_reader` and `data.transforms`.
"""

import math
from argparse import Namespace

from data.aligned_dataset import AlignedDataset
from data.base_dataset import BaseDataset
from data.colorization_dataset import ColorizationDataset
from data.loader import ImageLoader
from data.single_dataset import SingleDataset
from data.unaligned_dataset import UnalignedDataset

DATASETS: dict[str, type[BaseDataset]] = {
    "unaligned": UnalignedDataset,
    "aligned": AlignedDataset,
    "colorization": ColorizationDataset,
    "single": SingleDataset,
}


def create_dataset(opt: Namespace) -> ImageLoader:
    """Create an iterable over the batches of images under ``opt.dataroot``.

    Its ``len`` is the number of images. A batch is a dictionary: ``A`` and/or ``B``, float32
    tensors (N, C, H, W) in [-1, 1], and ``A_paths``/``B_paths``, lists of N file names. Raises
    `UserError` for missing or empty folders and for images that do not fit the options.
    """
    limit = math.inf if opt.isTrain else opt.num_test
    return ImageLoader(DATASETS[opt.dataset_mode](opt), opt, limit)


def create_samples(opt: Namespace, count: float) -> ImageLoader:
    """Create batches of the first ``count`` images, one each, as ``test.py`` transforms them.

    They are shown during training, and come from the test folders, if these hold images, rather
    than from the training set.
    """
    dataset = DATASETS[opt.dataset_mode]
    changes = {
        "isTrain": False,
        "phase": "test" if dataset.has_phase(opt, "test") else opt.phase,
        "max_dataset_size": count,
        "serial_batches": True,
        "batch_size": 1,
        "load_size": opt.crop_size,
        "no_flip": True,
        "keep_size": False,
        "num_threads": 0,
        "cache": "off",
    }
    sample_opt = Namespace(**{**vars(opt), **changes})
    return ImageLoader(dataset(sample_opt), sample_opt)
