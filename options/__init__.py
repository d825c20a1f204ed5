"""Command-line options: flags in groups, how their values are resolved, and validation rules.

May import every package but `training`. Start with `BaseOptions.parse` in ``base_options.py``.
"""

from options.export_options import ExportOptions
from options.test_options import TestOptions
from options.train_options import TrainOptions

__all__ = ["ExportOptions", "TestOptions", "TrainOptions"]
