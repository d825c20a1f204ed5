"""The training run: what ``train.py`` loops over.

Start with `training.trainer`. It may import every other package; only ``train.py`` imports it.
"""
