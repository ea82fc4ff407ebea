"""ONNX files in PyTorch: equal to ONNX Runtime, with right gradients, and loadable in a node's inference mode."""

import shutil

import numpy as np
import onnxruntime
import pytest
import torch
from testkit.onnx_graph import GraphWriter
from testkit.onnx_nets import random_pictures, save_iresnet, save_mobilefacenet, save_se_recogniser

from sfsr_model.encoders.onnx_torch import OnnxError, OnnxModule

CPU = ["CPUExecutionProvider"]


def small_iresnet(path, **changes):
    return save_iresnet(path, layers=(1, 2, 1, 1), width=8, **changes)


def se_with_preprocessing(path):
    return save_se_recogniser(path, mxnet=True)


@pytest.fixture(scope="module")
def se_file(tmp_path_factory):
    return save_se_recogniser(tmp_path_factory.mktemp("nets") / "se.onnx")


def by_onnx_runtime(path, pixels):
    session = onnxruntime.InferenceSession(str(path), providers=CPU)
    return session.run(None, {session.get_inputs()[0].name: pixels})


@pytest.mark.parametrize("save", [small_iresnet, save_mobilefacenet, save_se_recogniser, se_with_preprocessing])
def test_whole_networks_equal_onnx_runtime(save, tmp_path):
    path = save(tmp_path / "net.onnx")
    pixels = random_pictures(3)
    if save is se_with_preprocessing:
        pixels = 127.5 + 127.5 * pixels
    (expected,) = by_onnx_runtime(path, pixels)
    with torch.inference_mode():
        found = OnnxModule(path)(torch.from_numpy(pixels)).numpy()
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    assert expected.std(axis=0).max() > 1e-3  # a network that forgets its input would prove nothing


def operator(name, **attributes):
    return lambda graph, x: graph.node(name, x, **attributes)


def with_constants(name, *values, **attributes):
    return lambda graph, x: graph.node(name, x, *(graph.constant(value) for value in values), **attributes)


def floats(*values):
    return np.float32(values)


def ints(*values):
    return np.int64(values)


def conv(**attributes):
    groups = attributes.get("group", 1)
    return lambda graph, x: graph.node(
        "Conv", x, graph.normal(6, 3 // groups, 3, 3, scale=0.2), graph.normal(6), kernel_shape=[3, 3], **attributes
    )


def shape_arithmetic(graph, x):
    """As exporters write `x.view(x.shape[0], -1)`."""
    size = graph.node("Slice", graph.node("Shape", x), *(graph.constant(ints(n)) for n in (0, 1, 0)))
    return graph.node("Reshape", x, graph.node("Concat", size, graph.constant(ints(-1)), axis=0))


def from_constant_node(graph, x):
    from onnx import numpy_helper

    value = graph.node("Constant", value=numpy_helper.from_array(floats(2.5)))
    return graph.node("Mul", x, graph.node("Identity", graph.node("Identity", value)))


def divided_shape(graph, x):
    """Whole numbers divide without remainder, and become floating where the graph says so."""
    side = graph.node("Gather", graph.node("Shape", x), graph.constant(np.int64(-1)), axis=0)
    half = graph.node("Div", side, graph.constant(np.int64(3)))
    return graph.node("Mul", x, graph.node("Cast", half, to=1))


def two_halves(graph, x):
    first, second = graph.node("Split", x, graph.constant(ints(5, 7)), outputs=2, axis=2)
    return graph.node("Concat", second, first, axis=2)


def layer_norm(graph, x):
    return graph.node("LayerNormalization", x, graph.normal(12), graph.normal(12), axis=-1, epsilon=1e-3)


def packed(*zeros, axis=0):
    """Weights in 8 bits, with a scale for each output or input channel."""

    def build(graph, x):
        numbers = graph.constant(graph.random.integers(-127, 128, (6, 3, 3, 3), dtype=np.int8))
        scales = graph.constant(graph.random.uniform(0.001, 0.01, (6, 3)[axis]).astype(np.float32))
        inputs = [numbers, scales, *(graph.constant(zero) for zero in zeros)]
        return graph.node("Conv", x, graph.node("DequantizeLinear", *inputs, axis=axis), kernel_shape=[3, 3])

    return build


CASES = {
    "weights in 8 bits": packed(),
    "weights in 8 bits, by inputs, about a number": packed(np.int8([1, -5, 7]), axis=1),
    "conv": conv(pads=[1, 1, 1, 1]),
    "conv, uneven": conv(pads=[0, 1, 2, 0], strides=[2, 1]),
    "conv, grouped and dilated": conv(group=3, dilations=[2, 1], pads=[2, 2, 2, 2]),
    "conv, same upper": conv(auto_pad="SAME_UPPER", strides=[2, 2]),
    "conv, same lower": conv(auto_pad="SAME_LOWER", strides=[2, 2]),
    "conv, valid": conv(auto_pad="VALID"),
    "average pool": operator("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "average pool, with padding": operator("AveragePool", kernel_shape=[3, 3], pads=[0, 1, 2, 1], count_include_pad=1),
    "average pool, same": operator("AveragePool", kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_UPPER"),
    "average pool, ceil": operator("AveragePool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "max pool": operator("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 0, 1]),
    "max pool, ceil": operator("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "global pools": lambda g, x: g.node("Add", g.node("GlobalAveragePool", x), g.node("GlobalMaxPool", x)),
    "batch norm": lambda g, x: g.batch_norm(x, 3),
    "instance norm": lambda g, x: g.node("InstanceNormalization", x, g.normal(3), g.normal(3)),
    "layer norm": layer_norm,
    "prelu, channels": lambda g, x: g.prelu(x, 3),
    "prelu, one slope": with_constants("PRelu", floats(0.3)),
    "prelu, everywhere": lambda g, x: g.node("PRelu", x, g.normal(3, 12, 12)),
    "hard sigmoid": operator("HardSigmoid", alpha=0.3, beta=0.4),
    "hard swish": operator("HardSwish"),
    "leaky relu": operator("LeakyRelu", alpha=0.2),
    "elu": operator("Elu", alpha=0.7),
    "softplus": operator("Softplus"),
    "sigmoid": operator("Sigmoid"),
    "softmax": operator("Softmax", axis=1),
    "clip": with_constants("Clip", np.float32(-0.5), np.float32(0.7)),
    "clip, below only": with_constants("Clip", np.float32(-0.5)),
    "arithmetic": lambda g, x: g.node("Sqrt", g.node("Pow", g.node("Abs", x), g.constant(floats(3)))),
    "subtract and divide": lambda g, x: g.node("Div", g.node("Sub", x, g.constant(floats(0.1))), g.normal(3, 1, 1)),
    "least and most": lambda g, x: g.node("Max", g.node("Min", x, g.constant(floats(0.2))), g.constant(floats(-0.3))),
    "reduce mean": operator("ReduceMean", axes=[2, 3], keepdims=0),
    "reduce over everything": operator("ReduceMean"),
    "reduce sum": with_constants("ReduceSum", ints(1), keepdims=1),
    "reduce l2": operator("ReduceL2", axes=[1], keepdims=1),
    "lp normalization": operator("LpNormalization", axis=1, p=2),
    "pad": with_constants("Pad", ints(0, 0, 1, 0, 0, 0, 0, 2), np.float32(0.5)),
    "pad, reflected": with_constants("Pad", ints(0, 0, 1, 2, 0, 0, 2, 1), mode="reflect"),
    "slice": with_constants("Slice", ints(-1, 10), ints(-100, 2), ints(2, 3), ints(-2, -1)),
    "gather": with_constants("Gather", ints(-1, 0), axis=1),
    "transpose": operator("Transpose", perm=[0, 2, 3, 1]),
    "squeeze": lambda g, x: g.node("Squeeze", g.node("Unsqueeze", x, g.constant(ints(0, -1))), g.constant(ints(0))),
    "expand": lambda g, x: g.node("Expand", g.node("GlobalAveragePool", x), g.constant(ints(1, 1, 4, 5))),
    "dropout": operator("Dropout"),
    "split": two_halves,
    "shape arithmetic": shape_arithmetic,
    "divided shape": divided_shape,
    "constant node": from_constant_node,
    "matmul": lambda g, x: g.node("MatMul", x, g.normal(12, 5)),
    "gemm": lambda g, x: g.node("Gemm", g.node("Flatten", x), g.normal(432, 4), g.normal(4), alpha=0.5, beta=2.0),
    "where": lambda g, x: g.node("Where", g.node("Equal", g.node("Relu", x), g.constant(floats(0))), x, g.constant(floats(1))),
}


@pytest.mark.parametrize("name", CASES)
def test_operators_equal_onnx_runtime(name, tmp_path):
    graph = GraphWriter(12)
    path = graph.save(tmp_path / "one.onnx", CASES[name](graph, graph.input))
    pixels = np.random.default_rng(5).standard_normal((2, 3, 12, 12)).astype(np.float32)
    (expected,) = by_onnx_runtime(path, pixels)
    found = OnnxModule(path)(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_weight_that_nobody_reads_is_no_second_picture(tmp_path):
    """In old files weights are among the inputs."""
    from onnx import TensorProto, helper, load, save

    graph = GraphWriter(12)
    graph.normal(3)
    path = graph.save(tmp_path / "one.onnx", graph.node("Relu", graph.input))
    model = load(str(path))
    model.graph.input.append(helper.make_tensor_value_info(model.graph.initializer[0].name, TensorProto.FLOAT, [3]))
    save(model, str(path))
    assert OnnxModule(path)(torch.ones(1, 3, 12, 12)).sum() == 432


OLD_CASES = {
    "softmax flattens": (11, operator("Softmax", axis=1)),
    "squeeze by attribute": (11, lambda g, x: g.node("Squeeze", g.node("Unsqueeze", x, axes=[0, 5]), axes=[0])),
    "clip by attribute": (9, operator("Clip", min=-0.2, max=0.4)),
    "slice by attribute": (9, operator("Slice", starts=[1], ends=[9], axes=[2])),
    "pad by attribute": (10, operator("Pad", pads=[0, 0, 1, 1, 0, 0, 2, 0], value=0.3)),
    "reduce by attribute": (11, operator("ReduceSum", axes=[1], keepdims=0)),
}


@pytest.mark.parametrize("name", OLD_CASES)
def test_older_operator_sets(name, tmp_path):
    opset, build = OLD_CASES[name]
    graph = GraphWriter(12, opset=opset)
    path = graph.save(tmp_path / "old.onnx", build(graph, graph.input))
    pixels = np.random.default_rng(6).standard_normal((2, 3, 12, 12)).astype(np.float32)
    (expected,) = by_onnx_runtime(path, pixels)
    np.testing.assert_allclose(OnnxModule(path)(torch.from_numpy(pixels)).numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("save", [small_iresnet, save_se_recogniser])
def test_gradients_are_the_slope(save, tmp_path):
    """The derivative along random directions against central differences, in double precision."""
    network = OnnxModule(save(tmp_path / "net.onnx")).double()
    pixels = torch.from_numpy(random_pictures(1)).double().requires_grad_(True)
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(network(pixels).shape, generator=generator, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((network(pixels) * weights).sum(), pixels)
    for _ in range(5):
        step = 1e-7 * torch.nn.functional.normalize(
            torch.randn(pixels.shape, generator=generator, dtype=torch.float64).flatten(), dim=0
        ).reshape(pixels.shape)
        with torch.no_grad():
            rise = ((network(pixels + step) - network(pixels - step)) * weights).sum() / 2
        assert (gradient * step).sum().item() == pytest.approx(rise.item(), rel=1e-5)


def test_loaded_in_inference_mode_it_still_takes_part_in_autograd(se_file):
    with torch.inference_mode():
        network = OnnxModule(se_file)
        plain = network(torch.from_numpy(random_pictures(1)))
    assert not any(tensor.is_inference() for tensor in network.buffers())
    pixels = torch.from_numpy(random_pictures(1)).requires_grad_(True)
    output = network(pixels)
    torch.testing.assert_close(output.detach(), plain.clone())
    output[0, 0].backward()
    assert pixels.grad.abs().sum() > 0


def test_it_is_a_module_with_its_weights(se_file):
    network = OnnxModule(se_file)
    assert network.input_shape == (None, 3, 112, 112)
    assert len(network.state_dict()) > 5
    assert not any(one.requires_grad for one in network.buffers())
    assert OnnxModule(se_file).double()(torch.zeros(1, 3, 112, 112)).dtype == torch.float64


def test_an_operator_that_is_not_covered_is_named(tmp_path):
    graph = GraphWriter(12)
    path = graph.save(tmp_path / "odd.onnx", graph.node("Det", graph.input, name="the_odd_one"))
    with pytest.raises(OnnxError, match=r"odd\.onnx: node 0 \(Det 'the_odd_one'\): the operator Det"):
        OnnxModule(path)


def test_operators_of_other_domains_are_not_mistaken_for_standard_ones(tmp_path):
    graph = GraphWriter(12)
    made = graph.node("Relu", graph.input, domain="com.microsoft")
    path = graph.save(tmp_path / "fused.onnx", made, shapes=(("N", 3, 12, 12),))
    with pytest.raises(OnnxError, match=r"the operator com\.microsoft\.Relu"):
        OnnxModule(path)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x08\x08" * 100])
def test_what_is_no_onnx_file_is_named(tmp_path, content):
    path = tmp_path / "junk.onnx"
    path.write_bytes(content)
    with pytest.raises(OnnxError, match=r"junk\.onnx: (cannot be read as an ONNX network|holds no network)"):
        OnnxModule(path)


def test_a_truncated_file_is_named(se_file, tmp_path):
    path = tmp_path / "short.onnx"
    shutil.copy(se_file, path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(OnnxError, match=r"short\.onnx: cannot be read"):
        OnnxModule(path)


def test_a_wrong_shape_names_the_node(se_file):
    with pytest.raises(OnnxError, match=r"se\.onnx: node \d+ \(Conv\) failed"):
        OnnxModule(se_file)(torch.zeros(1, 4, 112, 112))
