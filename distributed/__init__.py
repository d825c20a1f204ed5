"""Data-parallel training with several processes: context, gradients, synchronized batch norm.

May import ``util``. Start with `distributed.context`.
"""
