"""Everything a user may say, checked at the door."""

from options.export_options import ExportOptions
from options.test_options import TestOptions
from options.train_options import TrainOptions

__all__ = ["ExportOptions", "TestOptions", "TrainOptions"]
