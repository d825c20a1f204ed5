"""Evaluation during training: metrics of the translated test images, and the best epoch."""

import math
from argparse import Namespace
from collections.abc import Sequence

from torch import Tensor

from checkpoint.weights import EMA_SUFFIX
from data import create_samples
from distributed.context import get_world
from engine.executor import StepExecutor
from metrics import METRICS, ImageSet, Settings, create_extractor, evaluate_sets
from metrics.comparison import Comparison
from metrics.evaluate import prepare_metric
from metrics.features import AUTO
from metrics.translations import translate_images
from reporting.history import Evaluation


class Evaluator:
    """Translate the test images as the page does, and measure the results.

    With ``--ema`` the averaged generators are measured. Nothing of the training changes: networks,
    random number generators and image pools stay as they are. Features of the real images are
    computed once.
    """

    def __init__(self, opt: Namespace, executor: StepExecutor):
        self.executor = executor
        self.metrics: list[str] = opt.eval_metrics.split(",")
        self.settings = Settings(opt.seed)
        self.dataset = create_samples(opt, math.inf)
        self.real: dict[str, ImageSet] = {}  # by the name of the translation
        self.features = None
        for name in self.metrics:  # before hours of training
            prepare_metric(name, self.dataset.min_images)
        if get_world().is_main and not all(METRICS[name].is_paired for name in self.metrics):
            self.features = create_extractor(opt.eval_features, device=executor.device)

    def measure(self) -> dict[str, float]:
        """Return the metrics of every translation, ``kid_fake_B``, on all ranks."""
        comparisons = translate_images(
            self.dataset, self.executor.model, self._translate, has_pairs=True
        )
        return get_world().decide_on_main(lambda: self._measure(comparisons))

    def _translate(self, batch: dict) -> dict[str, Tensor]:
        (visuals,) = self.executor.preview([batch])
        averaged = {
            name.removesuffix(EMA_SUFFIX): image
            for name, image in visuals.items()
            if name.endswith(EMA_SUFFIX)
        }
        return {**visuals, **averaged}

    def _measure(self, comparisons: list[Comparison]) -> dict[str, float]:
        values: dict[str, float] = {}
        for comparison in comparisons:
            real = self.real.setdefault(comparison.name, comparison.real)
            features = self.features or AUTO
            result = evaluate_sets(real, comparison.fake, self.metrics, features, self.settings)
            values |= {f"{name}_{comparison.name}": result[name] for name in self.metrics}
        return values


def watched_metric(opt: Namespace) -> str:
    """Return the metric that ``--save_best``, ``--early_stop`` and ``plateau`` follow."""
    return opt.save_best or opt.eval_metrics.split(",")[0]


def has_metric(metrics: dict[str, float], name: str) -> bool:
    """Return whether an evaluation has measured ``name``: a resumed run may measure others."""
    return bool(_values(metrics, name))


def mean_metric(metrics: dict[str, float], name: str) -> float:
    """Return the mean of metric ``name`` over all translations."""
    values = _values(metrics, name)
    return sum(values) / len(values)


def _values(metrics: dict[str, float], name: str) -> list[float]:
    """Metric ``name`` of each translation."""
    return [value for key, value in metrics.items() if key.startswith(f"{name}_fake")]


def score(metrics: dict[str, float], name: str) -> float:
    """Return `mean_metric`, negated if higher is better: a lower score is better."""
    mean = mean_metric(metrics, name)
    return mean if METRICS[name].lower_is_better else -mean


def best_epochs(evaluations: Sequence[Evaluation]) -> dict[str, int]:
    """Return the epoch with the best value of each curve, ``kid_fake_B``."""
    best = {}
    for key in evaluations[-1].metrics:
        lower_is_better = METRICS[key.split("_fake")[0]].lower_is_better
        sign = 1 if lower_is_better else -1
        values = {e.epoch: sign * e.metrics[key] for e in evaluations if key in e.metrics}
        best[key] = min(values, key=values.__getitem__)
    return best


def evaluations_since_best(scores: Sequence[float]) -> int:
    """Return how many evaluations came after the best score; 0 without any."""
    if not scores:
        return 0
    return len(scores) - 1 - scores.index(min(scores))
