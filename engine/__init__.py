"""How a model's step runs on this machine: device, precision, compilation, CUDA graphs, memory.

May import ``util``, ``distributed`` and ``models``; nothing here depends on the model's losses.
Start reading at `engine.executor`.
"""
