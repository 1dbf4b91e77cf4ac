"""The comparison of optimizers in the README, in Keras: keras_optimizers.py [--seed N] [--data DIRECTORY].

The same net, split, rates and settings as `samara compare`; prints a table of the same columns.
"""

import argparse
import gzip
import os
import pathlib
import time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--seed", type=int, default=42)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--data", type=pathlib.Path, default="/usr/share/datasets/fashion-mnist")
arguments = parser.parse_args()

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
# The processor, also where the machine has something faster: Samara trains on nothing else.
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import keras
import numpy

HELD_OUT = 5_000


def read(part):
    """Images from 0 to 1 and labels, from IDX files."""

    def elements(name, header):
        content = gzip.open(arguments.data / f"{part}-{name}-ubyte.gz").read()
        return numpy.frombuffer(content, numpy.uint8, offset=header)

    images = elements("images-idx3", 16).reshape(-1, 28, 28).astype("float32") / 255
    return images, elements("labels-idx1", 8)


def net():
    layers = keras.layers
    hidden = [layers.Dense(100, "relu", kernel_initializer="he_normal") for _ in range(3)]
    model = keras.Sequential([keras.Input((28, 28)), layers.Flatten(), *hidden, layers.Dense(10, "softmax")])
    assert model.count_params() == 99_710
    return model


images, labels = read("train")
test_images, test_labels = read("t10k")
validation = images[:HELD_OUT], labels[:HELD_OUT]
images, labels = images[HELD_OUT:], labels[HELD_OUT:]

optimizers = {
    "sgd": keras.optimizers.SGD(1e-3),
    "rmsprop": keras.optimizers.RMSprop(1e-3, rho=0.9),
    "adagrad": keras.optimizers.Adagrad(1e-3),
    "adam": keras.optimizers.Adam(1e-3),
}
print(f"Keras {keras.__version__} on {keras.backend.backend()}, seed {arguments.seed}")
print("optimizer  training loss  validation accuracy  test accuracy  seconds")
for name, optimizer in optimizers.items():
    keras.utils.set_random_seed(arguments.seed)
    model = net()
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    start = time.perf_counter()
    order = numpy.random.default_rng(arguments.seed)
    for _ in range(arguments.epochs):
        # In a new order every epoch, as Samara does. Behind `set_random_seed`, `fit` would take one order for all epochs, by which
        # the training loss of adam and rmsprop comes out lower.
        taken = order.permutation(len(images))
        log = model.fit(images[taken], labels[taken], 32, shuffle=False, verbose=0, validation_data=validation).history
    seconds = time.perf_counter() - start
    _, accuracy = model.evaluate(test_images, test_labels, 250, verbose=0)
    # The last epoch counts: nothing is picked by looking at the validation.
    loss, validated = log["loss"][-1], log["val_accuracy"][-1]
    print(f"{name:9}  {loss:13.4f}  {validated:19.4f}  {accuracy:13.4f}  {seconds:7.1f}", flush=True)
