"""Files of a run: weights, options, and the complete training state, saved and found again.

May import ``util`` and ``distributed``. Start with `checkpoint.manager`.
"""
