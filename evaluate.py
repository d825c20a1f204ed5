"""Measure the images of a trained model, or those of any other program.

    python evaluate.py --dataroot ./datasets/fluent --name fluent
    python evaluate.py --real ./datasets/fluent/testB --fake 'images/*_fake_B.png'

`--help` lists every option.
"""

import util.environment  # noqa: F401  # explains missing packages; must come first

# isort: split
import datetime
from argparse import Namespace
from pathlib import Path

import torch
from tqdm import tqdm

from checkpoint.weights import weights_prefix
from data import create_dataset
from distributed.context import distributed_session, get_world
from engine.device import configure_process, select_device
from engine.executor import StepExecutor
from engine.memory import explain_out_of_memory
from metrics import METRICS, FeatureExtractor, Settings, create_extractor
from metrics.comparison import TRANSLATED, Comparison
from metrics.features import AUTO
from metrics.folders import find_named_images, read_image_set
from metrics.report import (
    VALUE_COLUMNS,
    append_csv,
    describe_comparison,
    format_table,
    list_notes,
    to_json,
)
from metrics.translations import translate_images
from models import create_model
from options import EvaluateOptions
from options.base_options import format_options
from options.evaluate_options import RESULTS_JSON, has_pairs
from util.errors import report_user_errors
from util.files import write_text

RESULTS_CSV = "results.csv"


def evaluate(opt: Namespace) -> None:
    """Measure the images, print a table for each translation, and write the results."""
    configure_process()
    for note in opt.notes:
        print(note)
    print(format_options(opt))
    features = choose_features(opt)

    with explain_out_of_memory(opt):
        comparisons = read_folders(opt) if opt.fake else translate(opt)
    if not get_world().is_main:
        return

    settings = Settings(opt.seed, opt.kid_subsets, opt.kid_subset_size)
    results = measure(opt, comparisons, features, settings)
    write_results(opt, results, features, settings)


def choose_features(opt: Namespace) -> FeatureExtractor | None:
    """Load the network that computes features; None if no metric needs one."""
    if opt.metrics != AUTO and all(METRICS[name].is_paired for name in opt.metrics.split(",")):
        return None
    device = select_device(opt.gpu_ids, "gpu_ids" in opt.explicit, get_world())
    weights = Path(opt.features_weights) if opt.features_weights else None
    features = create_extractor(opt.features, weights, device)
    if opt.features == AUTO and features.name != "inception":
        print(
            f"note: kid and fid use the features of {features.name}: not comparable with published "
            "values; --features inception fetches the standard weights (91 MB)"
        )
    return features


# --- images --------------------------------------------------------------------------------------


def read_folders(opt: Namespace) -> list[Comparison]:
    """Read the images that ``--real``, ``--fake`` and ``--source`` name."""
    flags = [flag for flag in ("real", "fake", "source") if vars(opt)[flag]]
    files = {flag: find_named_images(vars(opt)[flag], f"--{flag}") for flag in flags}

    with progress_bar("reading", sum(map(len, files.values()))) as bar:
        sets = {
            flag: read_image_set(found, None if flag == "fake" else cache_dir(opt), bar.update)
            for flag, found in files.items()
        }
    return [Comparison("fake", sets["fake"], sets["real"], sets.get("source"))]


def translate(opt: Namespace) -> list[Comparison]:
    """Translate the test images in all directions of the model."""
    dataset = create_dataset(opt)
    model = create_model(opt).setup(opt)
    executor = StepExecutor(model, opt)
    model.train(not opt.eval)
    with progress_bar("translating", len(dataset)) as bar:
        return translate_images(
            dataset, model, executor.test, has_pairs(opt), cache_dir(opt), bar.update
        )


def cache_dir(opt: Namespace) -> Path:
    """Return the folder that keeps the features of real images."""
    return Path(opt.cache_dir or Path(torch.hub.get_dir(), "features"))


# --- results -------------------------------------------------------------------------------------


def measure(
    opt: Namespace,
    comparisons: list[Comparison],
    features: FeatureExtractor | None,
    settings: Settings,
) -> dict[str, dict]:
    """Print a table for each comparison and return its entry in ``metrics.json``, by name."""
    results = {}
    tables = []
    notes: dict[str, None] = {}
    with progress_bar("measuring", sum(item.num_images() for item in comparisons)) as bar:
        for comparison in comparisons:
            metrics = comparison.choose_metrics(opt.metrics)
            values = comparison.measure(metrics, features, settings, bar.update)
            results[comparison.name] = describe_comparison(comparison, values)
            name = features.name if features else ""
            tables.append(format_table(comparison, values, metrics, name))
            notes |= dict.fromkeys(list_notes(comparison, metrics, settings))

    print("\n" + "\n\n".join(tables) + "\n")
    for note in notes:
        print(note)
    return results


def write_results(
    opt: Namespace, results: dict[str, dict], features: FeatureExtractor | None, settings: Settings
) -> None:
    """Write ``metrics.json`` and append to ``results.csv``."""
    if opt.fake:
        run = {name: vars(opt)[name] for name in ("real", "fake", "source")}
        folder = Path(opt.results_dir)
    else:
        run = {"name": opt.name, "epoch": weights_prefix(opt), "ema": opt.ema}
        run |= {"dataroot": opt.dataroot, "phase": opt.phase}
        folder = Path(opt.checkpoints_dir) / opt.name

    lines = [
        {
            "time": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            "name": opt.fake or opt.name,
            "epoch": run.get("epoch", ""),
            "ema": run.get("ema", ""),
            "translation": name,
            "features": features.name if features else "",
            "images": result["images"],
            "real_images": result["real_images"],
            "seed": settings.seed,
            **{column: result[TRANSLATED].get(column, "") for column in VALUE_COLUMNS},
        }
        for name, result in results.items()
    ]

    output = Path(opt.output or folder / RESULTS_JSON)
    write_text(output, to_json(run, features, settings, results))
    table = Path(opt.results_dir) / RESULTS_CSV
    append_csv(table, lines)
    print(f"results written to {output} and {table}")


def progress_bar(action: str, images: int) -> tqdm:
    """Create a bar that counts images, on the main process of a terminal only."""
    disabled = None if get_world().is_main else True
    return tqdm(desc=action, total=images, unit=" images", disable=disabled, leave=False)


if __name__ == "__main__":
    with report_user_errors(), distributed_session():
        evaluate(EvaluateOptions().parse())
