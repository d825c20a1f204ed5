"""Conversion of a network to ONNX (https://onnx.ai), and comparison of both.

The packages onnx, onnxscript and onnxruntime are optional and imported on use.
"""

import contextlib
import io
import warnings
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

INPUT = "real"
OUTPUT = "fake"
DYNAMIC_AXES = {0: "batch", 2: "height", 3: "width"}  # of (N, C, H, W)
ERRORS_ONLY = 3  # log severity of onnxruntime


def to_onnx(net: nn.Module, example: Tensor, metadata: dict[str, str]) -> bytes:
    """Return ``net`` as an ONNX file: ``real`` → ``fake``, (N, C, H, W) with dynamic N, H and W.

    ``example`` is an input for tracing; its size does not matter.
    """
    import onnx

    axes = {axis: torch.export.Dim(name) for axis, name in DYNAMIC_AXES.items()}
    with _suppress_output(), torch.no_grad():
        program = torch.onnx.export(
            net,
            (example,),
            dynamo=True,
            verbose=False,
            dynamic_shapes=(axes,),
            input_names=[INPUT],
            output_names=[OUTPUT],
        )

    assert program is not None  # for type checkers: only the legacy exporter returns None
    model = program.model_proto
    _clean(model.graph)
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _clean(graph) -> None:
    """Remove paths of this machine; name the dimensions of the output like those of the input."""
    for entries in (graph.node, graph.input, graph.output, graph.initializer):
        for entry in entries:
            entry.ClearField("metadata_props")
    graph.ClearField("value_info")

    for axis, name in DYNAMIC_AXES.items():
        graph.output[0].type.tensor_type.shape.dim[axis].dim_param = name


@contextlib.contextmanager
def _suppress_output() -> Iterator[None]:
    """Suppress messages of the exporter, which address developers of PyTorch."""
    output = io.StringIO()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
    ):
        warnings.simplefilter("ignore")
        yield


def max_difference(onnx_file: bytes, net: nn.Module, batches: Iterable[Tensor]) -> float:
    """Return max |fake − net(real)| over batches (N, C, H, W); onnxruntime computes the fakes.

    NaN if any value is NaN, infinity if shapes differ. Runs on the CPU.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    session = onnxruntime.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])

    differences = [0.0]
    for real in batches:
        with torch.no_grad():
            expected = net(real)
        fake = torch.from_numpy(session.run([OUTPUT], {INPUT: real.numpy()})[0])
        has_shape = fake.shape == expected.shape
        differences.append((fake - expected).abs().max().item() if has_shape else torch.inf)
    return torch.tensor(differences).max().item()  # unlike max(), NaN if any is NaN
