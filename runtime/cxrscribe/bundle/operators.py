"""Which operators and parts the graphs of a bundle may have: what networks of films and words are made of.

A graph is a program. With these it can't open files, loop, draw random numbers or call code that isn't
onnxruntime's own kernels for the standard operators. It can still be wrong, or take long and much memory:
what it computes, nothing here can judge.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cxrscribe.bundle.graph_contents import GRAPH, MODEL, NODE, TENSOR, GraphContents
from cxrscribe.errors import BundleError

STANDARD_DOMAINS: Final = frozenset({"", "ai.onnx"})

# Of dense tensors, always the same result for the same values, and no subgraph to run. More than paddle2onnx
# makes of a network today, which is not the same from one of its releases to the next.
OPERATORS: Final = frozenset(
    """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast
    CastLike Ceil Celu Clip Concat Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh
    CumSum DepthToSpace DequantizeLinear Div DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand
    Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool
    GlobalMaxPool Greater GreaterOrEqual GroupNormalization HardSigmoid HardSwish Hardmax Identity
    InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log
    LogSoftmax LpNormalization LpPool MatMul MatMulInteger Max MaxPool Mean MeanVarianceNormalization Min
    Mish Mod Mul Neg Not OneHot Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear RNN Range
    Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum ReduceSumSquare Relu Reshape Resize Round ScatterElements ScatterND Selu Shape Sigmoid Sign
    Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh
    ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Where Xor
    """.split()  # noqa: SIM905
)

_PARTS: Final = frozenset(
    {
        (MODEL, GRAPH),
        (GRAPH, NODE),
        (GRAPH, TENSOR),
        (NODE, "Attribute"),
        ("Attribute", TENSOR),
        (TENSOR, "Entry"),
    }
)


def foreign_operators(operators: frozenset[tuple[str, str]]) -> list[str]:
    """Those among (domain, name) that no graph of a bundle may have: `Loop`, `com.microsoft.Gelu`."""
    return sorted(
        f"{domain}.{name}" if domain not in STANDARD_DOMAINS else name
        for domain, name in operators
        if domain not in STANDARD_DOMAINS or name not in OPERATORS
    )


def check_contents(graph: Path, contents: GraphContents) -> None:
    """Raise BundleError where a graph has an operator or a part that those of a bundle don't have."""
    foreign = foreign_operators(contents.operators)
    if foreign:
        shown = ", ".join(map(repr, foreign[:3]))
        raise BundleError(
            f"{graph} uses the operator {shown}, which no graph of a bundle may; "
            "docs/security.md says which may be used: export the bundle again"
        )
    parts = sorted(contents.kinds - _PARTS)
    if parts:
        outer, inner = parts[0]
        raise BundleError(
            f"{graph} has a {inner} within its {outer}, which no graph of a bundle may; "
            "export the bundle again"
        )
