"""The test images of a model, translated, as sets to be measured."""

from collections.abc import Callable, Iterable
from pathlib import Path

from torch import Tensor

from data.loader import ImageLoader
from distributed.context import get_world
from metrics.comparison import Comparison
from metrics.folders import names_of
from metrics.image_set import ImageSet
from models.base_model import BaseModel
from util.errors import UserError

Visuals = dict[str, Tensor]  # images (N, C, H, W) by name


def translate_images(
    dataset: ImageLoader,
    model: BaseModel,
    translate: Callable[[dict], Visuals],
    has_pairs: bool,
    cache_dir: Path | None = None,
    on_images: Callable[[int], object] = lambda count: None,
) -> list[Comparison]:
    """Translate all images of ``dataset`` in all directions of ``model``.

    ``translate`` maps a batch to the visuals of the model; with ``has_pairs``, images of A and B of
    one name are counterparts. Under torchrun each rank translates its
    share; the main process gets all comparisons, the others none. ``cache_dir`` keeps the features
    of real images. Raises `UserError` if an image cannot be read: the result would be that of
    other images.
    """
    _refuse_broken(dataset)
    world = get_world()

    # The images by path: those of the smaller domain are loaded several times.
    own: dict[str, dict[str, Tensor]] = {}
    for batch in dataset.iter_sharded():
        if "A" not in batch:  # another rank translates it
            continue
        visuals = translate(batch)
        for name, paths in model.get_image_paths().items():
            images = ImageSet([visuals[name]]).images
            own.setdefault(name, {}).update(zip(paths, images, strict=True))
        on_images(world.size * len(batch["A"]))
    _refuse_broken(dataset)

    ranks = world.gather(own)
    return [
        Comparison(
            fake,
            _image_set(ranks, fake, has_pairs),
            _image_set(ranks, fake.replace("fake", "real", 1), has_pairs, cache_dir),
            _image_set(ranks, source, has_pairs, cache_dir),
        )
        for fake, source in model.translations().items()
        if ranks
    ]


def _image_set(
    ranks: Iterable[dict], visual: str, has_names: bool, cache_dir: Path | None = None
) -> ImageSet:
    """Combine the images of all ranks, in the order of their paths."""
    images = {path: image for rank in ranks for path, image in rank.get(visual, {}).items()}
    if not images:
        raise UserError(f"there are no images {visual} to compare with; use --real and --fake")
    paths = sorted(images)
    names = names_of([Path(path) for path in paths]) if has_names else None
    return ImageSet([images[path] for path in paths], names, cache_dir)


def _refuse_broken(dataset: ImageLoader) -> None:
    if dataset.broken:
        raise UserError(f"{next(iter(dataset.broken.values()))}; fix or remove the file")
