"""Two ONNX graphs of the same inputs and outputs as the branches of one `If`.

torch.cond would give the same, but takes several times longer to export, and torch 2.14 cannot decompose its result for
ONNX.
"""

import hashlib

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

__all__ = ["merged"]


def merged(condition: str, then: ModelProto, otherwise: ModelProto) -> ModelProto:
    """One model that runs `then` where its further input `condition` (a bool) is true, else `otherwise`.

    Weights that both have are stored once.

    Args:
        condition: name of the input.
        then, otherwise: models with the same names of inputs and outputs, in the same order.
    """
    inputs = [value.name for value in then.graph.input]
    outputs = [value.name for value in then.graph.output]
    for model in (then, otherwise):
        assert [value.name for value in model.graph.input] == inputs
        assert [value.name for value in model.graph.output] == outputs
        assert not model.functions, "local functions are inlined by the exporter"
    weights: dict[bytes, TensorProto] = {}
    branches = [_branch(model.graph, name, inputs, weights) for name, model in (("then", then), ("else", otherwise))]
    choice = helper.make_node(
        "If", [condition], outputs, name="choice", then_branch=branches[0], else_branch=branches[1]
    )
    given = helper.make_tensor_value_info(condition, TensorProto.BOOL, [])
    graph = helper.make_graph(
        [choice], "step", [given, *then.graph.input], [*then.graph.output], initializer=[*weights.values()]
    )
    opsets = {entry.domain: entry for entry in (*then.opset_import, *otherwise.opset_import)}
    return helper.make_model(graph, opset_imports=[*opsets.values()], ir_version=then.ir_version)


def _branch(graph: GraphProto, name: str, inputs: list[str], weights: dict[bytes, TensorProto]) -> GraphProto:
    """The graph without inputs: it reads those of the outer graph, as it reads the weights, which are added there."""
    names = {value: value for value in inputs}
    for tensor in graph.initializer:
        content = TensorProto()
        content.CopyFrom(tensor)
        content.name = ""
        key = hashlib.sha256(content.SerializeToString()).digest()
        if key not in weights:
            content.name = f"weight{len(weights)}"
            weights[key] = content
        names[tensor.name] = weights[key].name
    nodes = [_renamed(node, name, names) for node in graph.node]
    results = []
    for value in graph.output:  # fresh names: an output may be an input, or another output as well
        result = f"{name}/result/{value.name}"
        nodes.append(helper.make_node("Identity", [names[value.name]], [result]))
        info = ValueInfoProto()
        info.CopyFrom(value)
        info.name = result
        results.append(info)
    return helper.make_graph(nodes, name, [], results)


def _renamed(node: NodeProto, prefix: str, names: dict[str, str]) -> NodeProto:
    """The node with the names of its values in `names`, to which its outputs are added."""
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.name = f"{prefix}/{node.name}"
    del copy.input[:], copy.output[:]
    copy.input.extend(names[value] if value else "" for value in node.input)
    for value in node.output:
        names[value] = f"{prefix}/{value}" if value else ""
    copy.output.extend(names[value] for value in node.output)
    for attribute in copy.attribute:
        assert attribute.type not in (AttributeProto.GRAPH, AttributeProto.GRAPHS), "a step has no inner graphs"
    return copy
