"""ONNX graphs whose weights are stored in fewer bits, and computed in single precision as before."""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

__all__ = ["halved", "with_int8_weights"]

SMALLEST: Final = 64  # values of a weight that is stored in fewer bits
LARGEST: Final = 127  # of an 8-bit weight
_OUTPUT_AXES: Final = {"Conv": 0, "ConvTranspose": 1}  # of the weight, by operation


def halved(model: ModelProto) -> ModelProto:
    """The model with all weights stored in half precision."""
    stored: dict[str, list[TensorProto]] = {}
    nodes = []
    for tensor in _large_weights(model):
        half = numpy_helper.to_array(tensor).astype(np.float16)
        stored[tensor.name] = [numpy_helper.from_array(half, f"{tensor.name}/half")]
        nodes.append(_cast(f"{tensor.name}/half", tensor.name))
    return _replaced(model, stored, nodes)


def with_int8_weights(model: ModelProto) -> ModelProto:
    """The model with the weights of its convolutions stored in 8 bits and one factor per output channel.

    Unlike with dynamic quantisation, activations keep their precision.
    """
    axes = {
        node.input[1]: _OUTPUT_AXES[node.op_type] for node in _all_nodes(model.graph) if node.op_type in _OUTPUT_AXES
    }
    stored: dict[str, list[TensorProto]] = {}
    nodes = []
    for tensor in _large_weights(model):
        name = tensor.name
        if name not in axes:
            continue
        weight = numpy_helper.to_array(tensor)
        others = tuple(axis for axis in range(weight.ndim) if axis != axes[name])
        peak = np.abs(weight).max(axis=others, keepdims=True)
        factor = np.where(peak > 0, peak / LARGEST, 1).astype(np.float32)
        whole = np.round(weight / factor).astype(np.int8)
        stored[name] = [
            numpy_helper.from_array(whole, f"{name}/int8"),
            numpy_helper.from_array(factor, f"{name}/factor"),
        ]
        nodes += [_cast(f"{name}/int8", f"{name}/whole"), _multiply(f"{name}/whole", f"{name}/factor", name)]
    return _replaced(model, stored, nodes)


def _large_weights(model: ModelProto) -> Iterator[TensorProto]:
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= SMALLEST:
            yield tensor


def _all_nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """The nodes of a graph and of the graphs inside."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _all_nodes(attribute.g)


def _cast(source: str, target: str) -> NodeProto:
    return helper.make_node("Cast", [source], [target], name=target, to=TensorProto.FLOAT)


def _multiply(left: str, right: str, target: str) -> NodeProto:
    return helper.make_node("Mul", [left, right], [target], name=target)


def _replaced(model: ModelProto, stored: Mapping[str, list[TensorProto]], nodes: list[NodeProto]) -> ModelProto:
    """A copy with other tensors in place of weights, and the nodes that compute the weights from them."""
    copy = ModelProto()
    copy.CopyFrom(model)
    kept = [tensor for tensor in copy.graph.initializer if tensor.name not in stored]
    initializers = [*kept, *(tensor for tensors in stored.values() for tensor in tensors)]
    del copy.graph.initializer[:]
    copy.graph.initializer.extend(initializers)
    whole = [*nodes, *copy.graph.node]
    del copy.graph.node[:]
    copy.graph.node.extend(whole)
    onnx.checker.check_model(copy)
    return copy
