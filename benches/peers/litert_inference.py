"""Microseconds per int8 inference of LiteRT on one thread: litert_inference.py [w2 w3 w4], the nets of `keras_steps.py`.

Two ways: with XNNPACK, as LiteRT runs by default, and without. Each is the fastest of 50 rounds of 50 inferences on one input.
"""

import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
workloads = sys.argv[1:] or ["w2", "w3", "w4"]
sys.argv = ["keras_steps.py", workloads[0], "1"]  # it reads its arguments when it is imported
import keras_steps
import numpy
import tensorflow

BUILDERS = {"w2": keras_steps.separable, "w3": keras_steps.resnet8, "w4": keras_steps.ds_cnn}
ROUNDS, INFERENCES, SAMPLES = 50, 50, 64
RESOLVER = tensorflow.lite.experimental.OpResolverType


def quantized(model):
    """The bytes of `model` in int8, calibrated on random samples."""
    random = numpy.random.default_rng(1)
    shape = (1, *model.input_shape[1:])
    converter = tensorflow.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([random.random(shape, dtype=numpy.float32)] for _ in range(SAMPLES))
    converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tensorflow.int8
    return converter.convert()


def measure(content, resolver):
    """Microseconds of the fastest round."""
    interpreter = tensorflow.lite.Interpreter(
        model_content=content, num_threads=1, experimental_op_resolver_type=resolver
    )
    interpreter.allocate_tensors()
    place = interpreter.get_input_details()[0]
    interpreter.set_tensor(place["index"], numpy.random.default_rng(2).integers(-128, 128, place["shape"], numpy.int8))
    interpreter.invoke()
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(INFERENCES):
            interpreter.invoke()
        best = min(best, time.perf_counter() - start)
    return 1e6 * best / INFERENCES


for workload in workloads:
    content = quantized(BUILDERS[workload]())
    with_xnnpack = measure(content, RESOLVER.AUTO)
    without = measure(content, RESOLVER.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    print(f"{workload}: {with_xnnpack:.0f} us with XNNPACK, {without:.0f} us without (TensorFlow {tensorflow.__version__})")
