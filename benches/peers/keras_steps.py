"""Milliseconds per training step of Keras, as a line of JSON: keras_steps.py WORKLOAD BATCH [--backend jax] [--threads N].

The clock covers whole epochs of about 0.3 s of `fit`, shuffling included, compilation left out; the median and the fastest.
"""

import argparse
import json
import os
import statistics
import sys
import time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("workload", choices=["w1", "w2", "w3", "w4", "w5", "w6"])
parser.add_argument("batch", type=int)
parser.add_argument("--backend", choices=["tensorflow", "jax"], default="tensorflow")
parser.add_argument("--threads", type=int, default=os.cpu_count())
arguments = parser.parse_args()

os.environ["KERAS_BACKEND"] = arguments.backend
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
# The processor, also where the machine has something faster: Samara trains on nothing else.
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["JAX_PLATFORMS"] = "cpu"
try:
    if arguments.backend == "tensorflow":
        import tensorflow as backend

        backend.config.threading.set_intra_op_parallelism_threads(arguments.threads)
        backend.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    else:
        # JAX takes the threads of the processors that the process may run on.
        import jax as backend
    import keras
    import numpy
except ModuleNotFoundError:
    print(json.dumps({"missing": f"pip install keras {arguments.backend}"}))
    sys.exit()

layers = keras.layers
EPOCH_SECONDS, SECONDS = 0.3, 3
VOCABULARY = 10_000


def penalized(*options, **named):
    """A convolution of MLPerf Tiny's, with the penalty of its kernel."""
    return layers.Conv2D(*options, kernel_regularizer=keras.regularizers.L2(1e-4), **named)


def mlp():
    """W1: dense layers of 300, 100 and 10 units with batch normalization."""
    net = [layers.Flatten(), layers.BatchNormalization()]
    for units in (300, 100):
        net += [layers.Dense(units, "relu"), layers.BatchNormalization()]
    return keras.Sequential([keras.Input((28, 28, 1)), *net, layers.Dense(10, "softmax")])


def separable():
    """W2: separable convolutions at full resolution."""

    def convolution(filters):
        return layers.SeparableConv2D(filters, 3, padding="same", activation="relu")

    net = [convolution(32), layers.BatchNormalization(), convolution(64), layers.BatchNormalization()]
    net += [layers.MaxPooling2D(2), convolution(64), convolution(128), layers.MaxPooling2D(2)]
    net += [layers.GlobalAveragePooling2D(), layers.Dense(32, "relu"), layers.Dense(10, "softmax")]
    return keras.Sequential([keras.Input((28, 28, 1)), *net])


def resnet8():
    """W3: ResNet-8 of MLPerf Tiny."""

    def normalized(x, filters, strides):
        return layers.BatchNormalization()(penalized(filters, 3, strides, padding="same")(x))

    image = keras.Input((32, 32, 3))
    x = layers.ReLU()(normalized(image, 16, 1))
    for filters, strides in ((16, 1), (32, 2), (64, 2)):
        long = normalized(layers.ReLU()(normalized(x, filters, strides)), filters, 1)
        short = x if strides == 1 else penalized(filters, 1, strides, padding="same")(x)
        x = layers.ReLU()(layers.add([short, long]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    return keras.Model(image, layers.Dense(10, "softmax")(x))


def ds_cnn():
    """W4: DS-CNN of MLPerf Tiny."""
    net = [penalized(64, (10, 4), 2, padding="same"), layers.BatchNormalization(), layers.ReLU()]
    for _ in range(4):
        net += [layers.DepthwiseConv2D(3, padding="same"), layers.BatchNormalization(), layers.ReLU()]
        net += [penalized(64, 1), layers.BatchNormalization(), layers.ReLU()]
    net += [layers.AveragePooling2D((25, 5)), layers.Flatten(), layers.Dense(12, "softmax")]
    return keras.Sequential([keras.Input((49, 10, 1)), *net])


def siamese():
    """W5: one LSTM on two sequences."""
    left, right = keras.Input((20, 128)), keras.Input((20, 128))
    shared = layers.LSTM(32)
    both = layers.concatenate([shared(left), shared(right)])
    return keras.Model([left, right], layers.Dense(1, "sigmoid")(both))


def answers():
    """W6: an embedding and an LSTM for each of two texts."""
    text, question = keras.Input((100,), dtype="int32"), keras.Input((100,), dtype="int32")
    told = layers.LSTM(32)(layers.Embedding(VOCABULARY, 64)(text))
    asked = layers.LSTM(16)(layers.Embedding(VOCABULARY, 32)(question))
    return keras.Model([text, question], layers.Dense(500, "softmax")(layers.concatenate([told, asked])))


class Clock(keras.callbacks.Callback):
    """Takes the time of every epoch, and ends the training after `seconds`."""

    def __init__(self, seconds):
        super().__init__()
        self.end = time.perf_counter() + seconds
        self.times = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.times.append(time.perf_counter() - self.start)
        self.model.stop_training = time.perf_counter() > self.end


def measure(model, steps, seconds):
    """Milliseconds per step of each epoch, sorted."""
    random = numpy.random.default_rng(1)
    samples = steps * arguments.batch
    if arguments.workload == "w6":
        x = [random.integers(0, VOCABULARY, (samples, *place.shape[1:]), dtype=numpy.int32) for place in model.inputs]
    else:
        x = [random.random((samples, *place.shape[1:]), dtype=numpy.float32) for place in model.inputs]
    y = random.integers(0, max(model.output_shape[-1], 2), samples)
    clock = Clock(seconds)
    model.fit(x, y, batch_size=arguments.batch, epochs=400, verbose=0, callbacks=[clock])
    return sorted(1e3 * time / steps for time in clock.times)


net, optimizer, parameters = {
    "w1": (mlp, keras.optimizers.SGD(1e-3), 271_346),
    "w2": (separable, keras.optimizers.Adam(1e-3), 20_947),
    "w3": (resnet8, keras.optimizers.Adam(1e-3), 78_666),
    "w4": (ds_cnn, keras.optimizers.Adam(1e-3), 24_908),
    "w5": (siamese, keras.optimizers.RMSprop(1e-3), 20_673),
    "w6": (answers, keras.optimizers.RMSprop(1e-3), 1_000_052),
}[arguments.workload]
model = net()
assert model.count_params() == parameters, f"the net has {model.count_params()} parameters, expected {parameters}"
# Samara, too, measures the accuracy of every batch.
loss = "binary_crossentropy" if arguments.workload == "w5" else "sparse_categorical_crossentropy"
model.compile(optimizer, loss, metrics=["accuracy"])
measure(model, 4, 0)  # compiles
steps = int(min(max(EPOCH_SECONDS * 1e3 / measure(model, 12, 0)[0], 4), 1200))
times = measure(model, steps, SECONDS)
result = {"workload": arguments.workload, "batch": arguments.batch, "parameters": parameters, "threads": arguments.threads}
result |= {"milliseconds": statistics.median(times), "fastest_milliseconds": times[0]}
result |= {"versions": f"keras {keras.__version__}, {arguments.backend} {backend.__version__}"}
print(json.dumps(result))
