"""The textbook's experiment with transfer, in Keras: keras_transfer.py [--seeds N N ...] [--data DIRECTORY].

The same nets, images, rates and epochs as `cargo run --release -p samara-models --example transfer`; prints a line for each seed, and the
means.
"""

import argparse
import gzip
import os
import pathlib

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--seeds", type=int, nargs="+", default=[42, 1, 2, 3, 4])
parser.add_argument("--data", type=pathlib.Path, default="/usr/share/datasets/fashion-mnist")
arguments = parser.parse_args()

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import keras
import numpy

HELD_OUT, SANDAL, SHIRT = 5_000, 5, 6


def read(part):
    """Images from 0 to 1 and labels, from IDX files."""

    def elements(name, header):
        return numpy.frombuffer(gzip.open(arguments.data / f"{part}-{name}-ubyte.gz").read(), numpy.uint8, offset=header)

    images = elements("images-idx3", 16).reshape(-1, 28, 28).astype("float32") / 255
    return images, elements("labels-idx1", 8)


def of_task(images, labels, count=None):
    """The images of B's two classes, with 1 for shirts; of all, or of the first."""
    chosen = (labels == SANDAL) | (labels == SHIRT)
    return images[chosen][:count], (labels[chosen] == SHIRT)[:count].astype("float32")


def of_the_others(images, labels):
    """The images of A's eight classes."""
    chosen = (labels != SANDAL) & (labels != SHIRT)
    labels = labels[chosen].astype("int32")
    return images[chosen], numpy.where(labels > SHIRT, labels - 2, labels)


def hidden():
    layers = [keras.layers.Dense(units, "selu") for units in (300, 100, 50, 50, 50)]
    return [keras.Input((28, 28)), keras.layers.Flatten(), *layers]


def compiled(model, loss):
    model.compile(keras.optimizers.SGD(1e-3), loss, metrics=["accuracy"])
    return model


images, labels = read("train")
test = of_task(*read("t10k"))
train_a, validation_a = of_the_others(images[HELD_OUT:], labels[HELD_OUT:]), of_the_others(images[:HELD_OUT], labels[:HELD_OUT])
train_b = of_task(images[HELD_OUT:], labels[HELD_OUT:], 200)
print(f"Keras {keras.__version__} on {keras.backend.backend()}: A {len(train_a[0])} images, B {len(train_b[0])}, {len(test[0])} to test")
print("seed  A, validation  B from scratch  B on A")
rows = []
for seed in arguments.seeds:
    keras.utils.set_random_seed(seed)
    a = compiled(keras.Sequential([*hidden(), keras.layers.Dense(8, "softmax")]), "sparse_categorical_crossentropy")
    validated = a.fit(*train_a, epochs=20, validation_data=validation_a, verbose=0).history["val_accuracy"][-1]
    scratch = compiled(keras.Sequential([*hidden(), keras.layers.Dense(1, "sigmoid")]), "binary_crossentropy")
    scratch.fit(*train_b, epochs=20, verbose=0)
    body = keras.models.clone_model(a)
    body.set_weights(a.get_weights())
    transferred = keras.Sequential([keras.Input((28, 28)), *body.layers[:-1], keras.layers.Dense(1, "sigmoid")])
    for epochs, learns in ((4, False), (16, True)):
        for layer in transferred.layers[:-1]:
            layer.trainable = learns
        compiled(transferred, "binary_crossentropy").fit(*train_b, epochs=epochs, verbose=0)
    rows.append([validated, *(model.evaluate(*test, verbose=0)[1] for model in (scratch, transferred))])
    print(f"{seed:4}  {rows[-1][0]:13.4f}  {rows[-1][1]:14.4f}  {rows[-1][2]:6.4f}", flush=True)
means = numpy.mean(rows, 0)
print(f"mean  {means[0]:13.4f}  {means[1]:14.4f}  {means[2]:6.4f}")
