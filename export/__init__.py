"""Trained generators as ONNX files, for programs without PyTorch.

May import everything except ``training``. Start reading at `export.generator`; the command is
``scripts/export.py``.
"""
