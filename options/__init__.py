"""Command-line options: flags in groups, how their values are resolved, and validation rules.

May import every package except `training` and `export`.
Start with `options.base_options.BaseOptions.parse`.
"""

from options.evaluate_options import EvaluateOptions
from options.export_options import ExportOptions
from options.test_options import TestOptions
from options.train_options import TrainOptions

__all__ = ["EvaluateOptions", "ExportOptions", "TestOptions", "TrainOptions"]
