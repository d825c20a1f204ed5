"""What is measured on images: registry of metrics, networks that compute features, reports.

May import `data`, `models` and everything below them. Start reading with `metrics.evaluate`, then
`metrics.distribution` and `metrics.paired`. The formulas come from torch-fidelity and torchmetrics.
"""

from metrics.evaluate import METRICS, evaluate_sets
from metrics.features import FEATURES, FeatureExtractor, create_extractor
from metrics.image_set import ImageSet
from metrics.metric import Metric, Settings

__all__ = [
    "FEATURES",
    "METRICS",
    "FeatureExtractor",
    "ImageSet",
    "Metric",
    "Settings",
    "create_extractor",
    "evaluate_sets",
]
