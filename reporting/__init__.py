"""What a training run and a test show: console, logs, HTML pages, visdom, TensorBoard, W&B.

Start with `reporting.visualizer`, then `reporting.logger`; the HTML pages are in `reporting.html`.
May import ``distributed`` and ``util``.
"""

from argparse import Namespace
from pkgutil import resolve_name

from reporting.logger import Logger
from util.flags import Flag


def _logger(location: str) -> type[Logger]:
    """The class at ``module:class`` in this package."""
    return resolve_name(f"{__name__}.{location}")


#: Each logger by the flag that switches it on or off.
LOGGERS = {
    "no_html": _logger("html.training_page:TrainingPage"),
    "display_id": _logger("visdom.logger:VisdomLogger"),
    "tensorboard": _logger("tensorboard_logger:TensorBoardLogger"),
    "use_wandb": _logger("wandb_logger:WandbLogger"),
}


def logger_flags() -> dict[str, Flag]:
    """The options that all loggers add to ``train.py``."""
    return {name: flag for logger in LOGGERS.values() for name, flag in logger.flags.items()}


def enabled_loggers(opt: Namespace) -> dict[str, type[Logger]]:
    """The entries of `LOGGERS` that the training options ``opt`` switch on."""
    return {
        name: logger for name, logger in LOGGERS.items() if logger.is_enabled(getattr(opt, name))
    }
