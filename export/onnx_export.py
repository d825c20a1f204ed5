"""ONNX: a network as a graph that other programs run. https://onnx.ai

The packages onnx, onnxscript and onnxruntime are imported where they are used.
"""

import contextlib
import io
import warnings
from collections.abc import Iterable

import torch
from torch import Tensor, nn

INPUT, OUTPUT = "real", "fake"
DIMENSIONS = {0: "batch", 2: "height", 3: "width"}  # those left open, of (N, C, H, W)


def onnx_graph(net: nn.Module, example: Tensor, about: dict[str, str]) -> bytes:
    """``net`` as a file of ONNX: ``real`` → ``fake``, (N, C, H, W), N, H and W left open.

    ``example`` is traced, its size does not matter; ``about`` becomes the file's metadata.
    """
    import onnx

    axes = {axis: torch.export.Dim(name) for axis, name in DIMENSIONS.items()}
    with _silence(), torch.no_grad():
        program = torch.onnx.export(
            net, (example,), dynamo=True, verbose=False, dynamic_shapes=(axes,),
            input_names=[INPUT], output_names=[OUTPUT],
        )  # fmt: skip
    model = program.model_proto
    _tidy(model.graph)
    onnx.helper.set_model_props(model, about)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _tidy(graph) -> None:
    """Only the graph travels: no paths of this machine; sizes have the same names in and out."""
    for part in (graph.node, graph.input, graph.output, graph.initializer):
        for entry in part:
            entry.ClearField("metadata_props")
    graph.ClearField("value_info")
    for axis, name in DIMENSIONS.items():
        graph.output[0].type.tensor_type.shape.dim[axis].dim_param = name


@contextlib.contextmanager
def _silence():
    """What the exporter says is for those who write one."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        with contextlib.redirect_stderr(io.StringIO()):
            yield


def largest_difference(graph: bytes, net: nn.Module, images: Iterable[Tensor]) -> float:
    """max |fake − net(real)| over some batches (N, C, H, W), the fakes by onnxruntime on the CPU.

    NaN where either is; infinity where the shapes differ.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    found = [0.0]
    for real in images:
        with torch.no_grad():
            expected = net(real)
        fake = torch.from_numpy(session.run([OUTPUT], {INPUT: real.numpy()})[0])
        alike = fake.shape == expected.shape
        found.append((fake - expected).abs().max().item() if alike else torch.inf)
    return torch.tensor(found).max().item()  # of NaN and numbers, NaN
