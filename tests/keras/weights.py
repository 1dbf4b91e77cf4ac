"""Writes files of weights as Keras saves them, and what the nets give: tests/tests/keras_weights.rs builds the same nets and reads them.

python weights.py, with keras and tensorflow-cpu (written by Keras 3.15). The archives are packed anew, compressed, to be small.
"""

import json
import os
import pathlib
import zipfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
from keras import layers

HERE = pathlib.Path(__file__).parent


def values(shape, factor, offset):
    """As in keras_weights.rs."""
    count = int(np.prod(shape))
    return (((np.arange(count) * factor + offset) % 201 - 100) / 128).astype("f4").reshape(shape)


def dense():
    x = keras.Input((6,))
    y = layers.Dense(5, activation="relu")(x)
    return keras.Model(x, layers.Dense(3, activation="softmax", name="classes")(y))


def separable():
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(3, 3, strides=2, padding="same", use_bias=False, name="stem"),
            layers.BatchNormalization(),
            layers.PReLU(shared_axes=[1, 2]),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.BatchNormalization(scale=True),
            layers.ReLU(),
            layers.Dropout(0.1),
            layers.SeparableConv2D(4, 3),
            layers.LayerNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, name="classes"),
        ]
    )


def recurrent():
    x = keras.Input((6,))
    words = layers.Embedding(9, 4)(x)
    both = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(words)
    steps = layers.TimeDistributed(layers.Dense(3, activation="tanh"))(both)
    after = layers.GRU(2)(steps)
    before = layers.GRU(2, reset_after=False)(steps)
    plain = layers.SimpleRNN(2)(words)
    both = layers.Bidirectional(layers.GRU(2), merge_mode="sum", name="summary")(words)
    inner = keras.Sequential([keras.Input((2,)), layers.Dense(2), layers.Dense(2)], name="inner")
    y = layers.Concatenate()([inner(after), inner(before), plain, layers.LSTM(2)(words), both])
    return keras.Model(x, layers.Dense(1, name="out")(y))


def main():
    outputs = {}
    for build, ending, inputs in [
        (dense, "weights.h5", values((3, 6), 37, 11)),
        (separable, "keras", values((2, 8, 8, 2), 37, 11)),
        (recurrent, "keras", (np.arange(12) * 5 % 9).reshape(2, 6).astype("f4")),
    ]:
        keras.backend.clear_session()
        # Names that Keras made up do not begin at the first number in a session with several models.
        dense() if build is separable else None
        model = build()
        for number, weight in enumerate(model.weights):
            drawn = values(weight.shape, 31, 7 + 13 * number)
            weight.assign(np.abs(drawn) + 0.25 if "variance" in weight.name else drawn)
        name = build.__name__
        path = HERE / f"{name}.{ending}"
        if ending == "keras":
            model.compile("adam", "mse")
            model.save(path)
            with zipfile.ZipFile(path) as archive:
                files = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
                for entry, content in files:
                    archive.writestr(zipfile.ZipInfo(entry), content, zipfile.ZIP_DEFLATED, 9)
            keras.saving.load_model(path)
        else:
            model.save_weights(path)
        outputs[name] = model.predict(inputs, verbose=0).flatten().tolist()
    (HERE / "weights.json").write_text(json.dumps(outputs) + "\n")


main()
