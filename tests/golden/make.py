"""Makes the golden vectors: single int8 and int16 ops, run by LiteRT's reference kernels.

    python -m venv venv && venv/bin/pip install -r tests/golden/requirements.txt
    venv/bin/python tests/golden/make.py            # writes tests/golden/*.json
    venv/bin/python tests/golden/make.py --compare  # makes them anew and fails if a committed file differs

Each model is one operator, written with LiteRT's flatbuffer schema (no converter in between, so scales, zero points,
weights and biases are exactly those of the file), and run with the `BUILTIN_REF` resolver: the optimized kernels differ
among themselves. Shapes are without the batch; byte strings are hexadecimal; weights are `[channels][rows][columns][depth]`.

A new op needs no line here: write a file with its cases, each with a name, inputs, output, what the op's twin reads of it, the
number of samples, and LiteRT's operator (`model`: its name, version, constants and options); then run `make.py NAME`, which
turns the number into samples. Only operators with random weights have a function below.
"""

import argparse
import json
import math
import pathlib
import sys

import ai_edge_litert
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

HERE = pathlib.Path(__file__).parent
INT8, INT16, INT32, INT64, FLOAT32 = (getattr(schema.TensorType, name) for name in ("INT8", "INT16", "INT32", "INT64", "FLOAT32"))
NUMPY = {INT8: np.int8, INT16: np.int16, INT32: np.int32, INT64: np.int64, FLOAT32: np.float32}
PORTS = {"i8": INT8, "i16": INT16, "f32": FLOAT32}
CLAMPS = {
    "none": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}


def f32(value):
    """The nearest f32, as a Python number that JSON writes without loss."""
    return float(np.float32(value))


class Model:
    """A model of one operator in the making."""

    def __init__(self):
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.description = "golden"
        self.model.buffers = [schema.BufferT()]
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.inputs, self.graph.outputs, self.graph.operators = [], [], [], []
        self.model.subgraphs = [self.graph]
        self.model.operatorCodes = []

    def tensor(self, shape, kind=INT8, scale=None, zero_point=0, data=None, axis=0):
        tensor = schema.TensorT()
        tensor.shape = list(shape)
        tensor.type = kind
        tensor.name = f"t{len(self.graph.tensors)}"
        tensor.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data, NUMPY[kind]).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        if scale is not None:
            quantization = schema.QuantizationParametersT()
            quantization.scale = np.atleast_1d(np.asarray(scale, np.float32))
            quantization.zeroPoint = np.full(quantization.scale.shape, zero_point, np.int64)
            quantization.quantizedDimension = axis
            tensor.quantization = quantization
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def port(self, port, batch=True):
        shape = ([1] if batch else []) + port["shape"]
        if port["type"] == "f32":
            return self.tensor(shape, FLOAT32)
        return self.tensor(shape, PORTS[port["type"]], port["scale"], port["zero_point"])

    def operator(self, name, version, inputs, output, options=None):
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = version
        self.model.operatorCodes = [code]
        operator = schema.OperatorT()
        operator.opcodeIndex = 0
        operator.inputs, operator.outputs = inputs, [output]
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
        self.graph.operators = [operator]
        tensors = self.graph.tensors
        self.graph.inputs = [i for i in inputs if i >= 0 and tensors[i].buffer == 0 and not tensors[i].isVariable]
        self.graph.outputs = [output]
        return operator

    def interpreter(self):
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        interpreter = Interpreter(
            model_content=bytes(builder.Output()), experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1
        )
        interpreter.allocate_tensors()
        return interpreter

    def run(self, samples):
        interpreter = self.interpreter()
        places = interpreter.get_input_details()
        results = []
        for sample in samples:
            for place, values in zip(places, sample):
                interpreter.set_tensor(place["index"], values.reshape(place["shape"]))
            interpreter.invoke()
            results.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
        return results


def i8(shape, scale, zero_point):
    return {"type": "i8", "shape": list(shape), "scale": f32(scale), "zero_point": zero_point}


def quantized(wide, shape, scale, zero_point):
    """int8; or int16, whose zero point is 0."""
    return {"type": "i16", "shape": list(shape), "scale": f32(scale), "zero_point": 0} if wide else i8(shape, scale, zero_point)


def real(shape):
    return {"type": "f32", "shape": list(shape)}


def samples_for(random, ports, count=4):
    """Random values, random extremes, values around zero, all extremes."""
    samples = []
    for number in range(count):
        sample = []
        for port in ports:
            shape = port["shape"]
            if port["type"] == "f32":
                spread = [1.0, 30.0, 1e-3, 1e5][number % 4]  # LiteRT does not saturate beyond 32 bits
                values = (random.standard_normal(shape) * spread).astype(np.float32)
                values.flat[: min(4, values.size)] = [0.5, -0.5, 1.5, -0.0][: min(4, values.size)]
                sample.append(values)
                continue
            kind = NUMPY[PORTS[port["type"]]]
            least, most = np.iinfo(kind).min, np.iinfo(kind).max
            if number % 4 == 0:
                values = random.integers(least, most + 1, shape)
            elif number % 4 == 1:
                values = random.choice([least, most], shape)
            elif number % 4 == 2:
                values = np.clip(np.rint(random.normal(port["zero_point"], 12 * most / 127, shape)), least, most)
            else:
                values = np.full(shape, most if number % 8 == 3 else least)
            sample.append(values.astype(kind))
        samples.append(sample)
    return samples


def case(name, operator, inputs, output, samples, **fields):
    results = operator.run(samples)
    rows = [{"inputs": [v.tobytes().hex() for v in s], "output": r.tobytes().hex()} for s, r in zip(samples, results)]
    return {"name": name, "inputs": inputs, "output": output, **fields, "samples": rows}


def linear_numbers(random, channels, fan_in, input_scale, gain, wide=False):
    """Weights whose largest is 127 in some channels and less in others, scales that differ per channel, biases, output scale."""
    largest = random.choice([127, 127, 100, 31, 5], channels)
    weights = random.integers(-largest[:, None], largest[:, None] + 1, (channels, fan_in))
    weights[np.arange(channels), random.integers(0, fan_in, channels)] = largest * random.choice([-1, 1], channels)
    scales = np.exp(random.uniform(math.log(0.002), math.log(0.02), channels)).astype(np.float32)
    spread = math.sqrt(fan_in) * 74 * 73
    biases = np.rint(random.normal(0, spread / 2, channels) * (256 if wide else 1)).astype(np.int64)
    output_scale = f32(input_scale * float(np.max(scales)) * spread / 50 * gain)
    return weights.astype(np.int8), scales, biases, output_scale


def padded_window(size, kernel, stride, dilation, same):
    """Output size, and the padding above and to the left."""
    counts, padding = [], []
    for n, k, s, d in zip(size, kernel, stride, dilation):
        reach = (k - 1) * d + 1
        count = -(-n // s) if same else (n - reach) // s + 1
        counts.append(count)
        padding.append(max(0, (count - 1) * s + reach - n) // 2 if same else 0)
    return counts, padding


def window_fields(kernel, stride, dilation, padding):
    return {"window": {"kernel": list(kernel), "stride": list(stride), "dilation": list(dilation), "padding": padding}}


def fully_connected(random, wide=False):
    for name, shape, channels, clamp, zero_points, gain in [
        ("one_to_one", [1], 1, "none", (0, 0), 1),
        ("small", [7], 5, "none", (-4, 9), 1),
        ("relu", [64], 16, "relu", (-128, -128), 1),
        ("relu6", [33], 9, "relu6", (17, -100), 1),
        ("wide", [300], 10, "none", (127, 3), 1),
        ("rows", [3, 13], 6, "none", (5, -5), 1),
        ("many_rows", [70, 24], 24, "none", (-33, 5), 1),
        ("amplifying", [24], 12, "none", (1, -1), 0.02),
        ("attenuating", [24], 12, "none", (1, -1), 40),
        ("autoencoder", [128], 8, "relu", (-10, -128), 1),
    ]:
        fan_in, input_scale = shape[-1], 0.037
        weights, scales, biases, output_scale = linear_numbers(random, channels, fan_in, input_scale, gain, wide)
        source = quantized(wide, shape, input_scale, zero_points[0])
        target = quantized(wide, shape[:-1] + [channels], output_scale, zero_points[1])
        model, batch = Model(), len(shape) == 1
        x = model.port(source, batch)
        w = model.tensor([channels, fan_in], INT8, scales, 0, weights)
        b = model.tensor([channels], INT64 if wide else INT32, scales * np.float32(source["scale"]), 0, biases)
        y = model.port(target, batch)
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction, options.keepNumDims = CLAMPS[clamp], True
        model.operator("FULLY_CONNECTED", 12, [x, w, b], y, options)
        yield case(
            name, model, [source], target, samples_for(random, [source], 8), clamp=clamp, weights=weights.tobytes().hex(),
            weight_scales=[f32(s) for s in scales], bias=biases.tolist(),
        )


def convolution(random, depthwise, wide=False):
    cases = [
        # name, input, channels, kernel, stride, dilation, same, clamp, zero points, gain
        ("pointwise", [5, 4, 13], 7, (1, 1), (1, 1), (1, 1), False, "none", (3, -7), 1),
        ("pointwise_stride_2", [5, 4, 6], 5, (1, 1), (2, 2), (1, 1), True, "relu", (-128, -128), 1),
        ("3x3_same", [6, 5, 4], 6, (3, 3), (1, 1), (1, 1), True, "relu6", (-128, -128), 1),
        ("3x3_valid", [6, 5, 3], 5, (3, 3), (1, 1), (1, 1), False, "none", (12, 30), 1),
        ("3x3_same_stride_2", [7, 8, 3], 8, (3, 3), (2, 2), (1, 1), True, "relu", (-1, -128), 1),
        ("3x3_valid_stride_2", [8, 7, 2], 4, (3, 3), (2, 2), (1, 1), False, "none", (127, -128), 1),
        ("3x3_dilation_2", [8, 7, 2], 4, (3, 3), (1, 1), (2, 2), True, "none", (-20, 20), 1),
        ("10x4_stride_2", [25, 10, 1], 8, (10, 4), (2, 2), (1, 1), True, "relu", (83, -128), 1),
        ("5x1", [9, 3, 2], 3, (5, 1), (1, 1), (1, 1), True, "none", (0, 0), 1),
        ("2x3_stride_1x2", [6, 7, 3], 3, (2, 3), (1, 2), (1, 1), True, "none", (-9, 1), 1),
        ("amplifying", [4, 4, 3], 4, (3, 3), (1, 1), (1, 1), True, "none", (2, 2), 0.05),
        ("attenuating", [4, 4, 3], 4, (3, 3), (1, 1), (1, 1), True, "none", (2, 2), 40),
        ("many_channels", [3, 3, 40], 40, (3, 3), (1, 1), (1, 1), True, "none", (-60, 6), 1),
    ]
    for name, shape, channels, kernel, stride, dilation, same, clamp, zero_points, gain in cases:
        if depthwise:
            channels = shape[2] = channels if channels < 40 else 70
        elif name == "many_channels":
            kernel, channels = (2, 2), 12
        depth = 1 if depthwise else shape[2]
        fan_in, input_scale = kernel[0] * kernel[1] * depth, 0.037
        weights, scales, biases, output_scale = linear_numbers(random, channels, fan_in, input_scale, gain, wide)
        counts, padding = padded_window(shape, kernel, stride, dilation, same)
        source = quantized(wide, shape, input_scale, zero_points[0])
        target = quantized(wide, counts + [channels], output_scale, zero_points[1])
        model = Model()
        x = model.port(source)
        cube = weights.reshape(channels, *kernel, depth)
        if depthwise:
            cube = cube.transpose(3, 1, 2, 0)
        w = model.tensor(cube.shape, INT8, scales, 0, cube, 3 if depthwise else 0)
        b = model.tensor([channels], INT64 if wide else INT32, scales * np.float32(source["scale"]), 0, biases)
        y = model.port(target)
        options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        options.padding = schema.Padding.SAME if same else schema.Padding.VALID
        options.strideH, options.strideW = stride
        options.dilationHFactor, options.dilationWFactor = dilation
        options.fusedActivationFunction = CLAMPS[clamp]
        if depthwise:
            options.depthMultiplier = 1
        model.operator("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", 3, [x, w, b], y, options)
        yield case(
            name, model, [source], target, samples_for(random, [source]), clamp=clamp, **window_fields(kernel, stride, dilation, padding),
            weights=weights.tobytes().hex(), weight_scales=[f32(s) for s in scales], bias=biases.tolist(),
        )


def scale_shift(random):
    """LiteRT has no such op; a 1x1 depthwise convolution computes the same."""
    for name, shape, clamp, zero_points in [("image", [4, 5, 9], "none", (-3, 8)), ("relu", [6, 6, 4], "relu", (40, -128))]:
        channels, input_scale = shape[2], 0.05
        weights, scales, biases, output_scale = linear_numbers(random, channels, 1, input_scale, 1)
        weights = random.integers(-127, 128, (channels, 1)).astype(np.int8)
        source, target = i8(shape, input_scale, zero_points[0]), i8(shape, output_scale, zero_points[1])
        model = Model()
        x = model.port(source)
        w = model.tensor([1, 1, 1, channels], INT8, scales, 0, weights.reshape(1, 1, 1, channels), 3)
        b = model.tensor([channels], INT32, scales * np.float32(source["scale"]), 0, biases)
        y = model.port(target)
        options = schema.DepthwiseConv2DOptionsT()
        options.padding, options.strideH, options.strideW, options.depthMultiplier = schema.Padding.VALID, 1, 1, 1
        options.dilationHFactor, options.dilationWFactor = 1, 1
        options.fusedActivationFunction = CLAMPS[clamp]
        model.operator("DEPTHWISE_CONV_2D", 3, [x, w, b], y, options)
        yield case(
            name, model, [source], target, samples_for(random, [source], 8), clamp=clamp, weights=weights.tobytes().hex(),
            weight_scales=[f32(s) for s in scales], bias=biases.tolist(),
        )


def prelu(random):
    for name, shape, alpha_scale, alpha_zero_point, scales, zero_points in [
        ("channels", [8, 8, 5], 0.004, 0, (0.05, 0.04), (-20, -60)), ("shifted", [6, 7, 3], 0.01, -30, (0.08, 0.11), (3, 3)),
    ]:
        channels = shape[2]
        alpha = random.integers(-128, 128, channels).astype(np.int8)
        source, target = i8(shape, scales[0], zero_points[0]), i8(shape, scales[1], zero_points[1])
        model = Model()
        x = model.port(source)
        a = model.tensor([1, 1, channels], INT8, alpha_scale, alpha_zero_point, alpha)
        y = model.port(target)
        model.operator("PRELU", 1, [x, a], y)
        slopes = [f32(np.float32(alpha_scale) * (int(value) - alpha_zero_point)) for value in alpha]
        yield case(name, model, [source], target, samples_for(random, [source]), slopes=slopes)


def lstm(random):
    """Steps of an LSTM, one an invocation: the states stay, and stand beside each output as they are behind it."""
    for name, features, units, input_scale, input_zero_point, cell_bits, gain in [
        ("small", 3, 4, 1 / 64, 3, 12, 1.0),
        ("wide", 24, 16, 0.05, -128, 11, 1.0),
        ("slow", 6, 8, 0.02, 20, 15, 0.3),
        ("saturated", 5, 6, 0.1, 0, 10, 6.0),
    ]:
        hidden_scale = 1 / 128
        model = Model()
        x = model.tensor([1, 1, features], INT8, input_scale, input_zero_point)

        def weights(fan_in):
            # One of 127 in each row, so that a scale per row is the scale per gate that LiteRT has.
            values = random.integers(-127, 128, (units, fan_in))
            values[np.arange(units), random.integers(0, fan_in, units)] = 127 * random.choice([-1, 1], units)
            return values.astype(np.int8)

        gates = {"kernel": [], "recurrent_kernel": [], "bias": []}
        scales = {"kernel": [], "recurrent_kernel": []}
        inputs = [x]
        for part, fan_in in (("kernel", features), ("recurrent_kernel", units)):
            for _ in range(4):
                scale = f32(gain * random.uniform(0.8, 1.2) / math.sqrt(fan_in) / 127)
                gates[part].append(weights(fan_in))
                scales[part].append(scale)
                inputs.append(model.tensor([units, fan_in], INT8, scale, 0, gates[part][-1]))
        inputs += [-1, -1, -1]  # no peepholes
        for gate in range(4):
            scale = np.float32(scales["kernel"][gate]) * np.float32(input_scale)
            bias = np.rint(random.normal(1.0 if gate == 1 else 0.0, 0.5, units) / scale).astype(np.int64)
            gates["bias"].append(bias)
            inputs.append(model.tensor([units], INT32, scale, 0, bias))
        inputs += [-1, -1]  # no projection
        hidden = model.tensor([1, units], INT8, hidden_scale, 0)
        cell = model.tensor([1, units], INT16, 2.0**-cell_bits, 0)
        model.graph.tensors[hidden].isVariable = model.graph.tensors[cell].isVariable = True
        inputs += [hidden, cell, -1, -1, -1, -1]  # no layer normalization
        y = model.tensor([1, 1, units], INT8, hidden_scale, 0)
        options = schema.UnidirectionalSequenceLSTMOptionsT()
        options.fusedActivationFunction, options.timeMajor = schema.ActivationFunctionType.TANH, False
        # LiteRT's gates are in the order i, f, g, o, as here; of the intermediates only the hidden state's scale is read.
        operator = model.operator("UNIDIRECTIONAL_SEQUENCE_LSTM", 1, inputs, y, options)
        operator.intermediates = [model.tensor([], INT16, 2.0**-12, 0) for _ in range(4)]
        operator.intermediates.append(model.tensor([], INT8, hidden_scale, 0))
        interpreter = model.interpreter()
        place = interpreter.get_input_details()[0]["index"]
        output = interpreter.get_output_details()[0]["index"]
        now, steps = np.zeros(features, np.int64), []
        for step in range(24):
            now = np.clip(now + random.integers(-60, 61, features), -128, 127) if step % 8 else random.choice([-128, 127], features)
            interpreter.set_tensor(place, now.astype(np.int8).reshape(1, 1, features))
            interpreter.invoke()
            states = [interpreter.get_tensor(tensor).tobytes().hex() for tensor in (output, cell)]
            steps.append({"input": now.astype(np.int8).tobytes().hex(), "hidden": states[0], "cell": states[1]})
        yield {
            "name": name, "features": features, "units": units, "input_scale": f32(input_scale), "input_zero_point": input_zero_point,
            "cell_bits": cell_bits, **{part: np.concatenate(gates[part]).tobytes().hex() for part in scales},
            "scales": scales, "bias": np.concatenate(gates["bias"]).tolist(), "steps": steps,
        }


MAKERS = {
    "lstm": lstm,
    "fully_connected": fully_connected,
    "conv2d": lambda random: convolution(random, False),
    "depthwise_conv2d": lambda random: convolution(random, True),
    "fully_connected_i16": lambda random: fully_connected(random, True),
    "conv2d_i16": lambda random: convolution(random, False, True),
    "depthwise_conv2d_i16": lambda random: convolution(random, True, True),
    "scale_shift": scale_shift,
    "prelu": prelu,
}


def declared(random, op):
    """The cases of a file that says itself what its operators are. Samples are its own, or as many as it says."""
    for made in json.loads((HERE / f"{op}.json").read_text())["cases"]:
        says, inputs, output, samples = (made.pop(name) for name in ("model", "inputs", "output", "samples"))
        batch, model = says.get("batch", True), Model()
        tensors = [model.port(port, batch) for port in inputs]
        constants = [np.asarray(values, np.int32) for values in says.get("constants", [])]
        tensors += [model.tensor(values.shape, INT32, data=values) for values in constants]
        y, options = model.port(output, batch), None
        if "options" in says:
            options = getattr(schema, says["options"]["type"] + "T")()
            for name, value in says["options"].items():
                setattr(options, name, value)
        model.operator(says["operator"], says["version"], tensors, y, options)
        if isinstance(samples, int):
            samples = samples_for(random, inputs, samples)
        else:
            kinds = [NUMPY[PORTS[port["type"]]] for port in inputs]
            samples = [[np.frombuffer(bytes.fromhex(v), k) for v, k in zip(s["inputs"], kinds)] for s in samples]
        yield case(made.pop("name"), model, inputs, output, samples, model=says, **made)


def text_of(op):
    """The file of one op: a line per case, so that a change shows where it is."""
    random = np.random.default_rng(list(op.encode()))
    cases = MAKERS[op](random) if op in MAKERS else declared(random, op)
    lines = [json.dumps(made, separators=(",", ":")) for made in cases]
    head = f'{{"op":"{op}","litert":"{ai_edge_litert.__version__}","cases":[\n'
    return head + ",\n".join(lines) + "\n]}\n"


def main():
    parser = argparse.ArgumentParser(description="Makes the golden vectors from LiteRT's reference kernels.")
    parser.add_argument("--compare", action="store_true", help="write nothing; fail if a committed file differs")
    parser.add_argument("ops", nargs="*", help="only these", default=[])
    arguments = parser.parse_args()
    differing = []
    for op in arguments.ops or sorted({path.stem for path in HERE.glob("*.json")} | set(MAKERS)):
        path, text = HERE / f"{op}.json", text_of(op)
        if not arguments.compare:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            differing.append(op)
        print(f"{op}: {text.count(chr(10)) - 2} cases, {len(text)} bytes")
    if differing:
        sys.exit(f"the committed vectors differ from what LiteRT {ai_edge_litert.__version__} gives: {', '.join(differing)}")


if __name__ == "__main__":
    main()
