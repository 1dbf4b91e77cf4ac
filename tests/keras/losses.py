"""Losses of Keras on the first 20 steps of four small nets, from weights and data that a formula gives, for tests/tests/keras_losses.rs.

    python3 -m venv venv && venv/bin/pip install keras==3.15.1 tensorflow-cpu==2.21.0
    venv/bin/python tests/keras/losses.py > tests/keras/losses.json
"""

import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
from keras import layers as L
from keras import regularizers as R

STEPS, SAMPLES, CLASSES = 20, 32, 4


def values(count, factor, offset):
    """(i * factor + offset) mod 201 - 100, over 256: exact in f32."""
    return ((np.arange(count) * factor + offset) % 201 - 100).astype("float32") / np.float32(256)


def mlp():
    x = i = keras.Input((12,))
    for units in (16, 8):
        x = L.BatchNormalization()(L.Dense(units, "relu")(x))
    return keras.Model(i, L.Dense(CLASSES, "softmax")(x)), keras.optimizers.SGD(0.05)


def separable():
    i = keras.Input((9, 8, 2))
    x = L.SeparableConv2D(6, 3, padding="same", activation="relu")(i)
    x = L.MaxPooling2D(2)(L.BatchNormalization()(x))
    x = L.SeparableConv2D(8, 3, padding="same", activation="relu")(x)
    return keras.Model(i, L.Dense(CLASSES, "softmax")(L.GlobalAveragePooling2D()(x))), keras.optimizers.Adam(0.01)


def residual():
    i = keras.Input((8, 8, 3))
    x = L.Activation("relu")(L.BatchNormalization()(L.Conv2D(6, 3, padding="same")(i)))
    y = L.Activation("relu")(L.BatchNormalization()(L.Conv2D(8, 3, strides=2, padding="same")(x)))
    y = L.BatchNormalization()(L.Conv2D(8, 3, padding="same")(y))
    x = L.Conv2D(8, 1, strides=2, padding="same")(x)
    x = L.Activation("relu")(L.add([x, y]))
    x = L.Flatten()(L.AveragePooling2D(4)(x))
    return keras.Model(i, L.Dense(CLASSES, "softmax")(x)), keras.optimizers.RMSprop(0.003)


def regularized():
    i = keras.Input((6, 7, 2))
    x = L.Conv2D(5, 3, activation="relu", kernel_regularizer=R.L1L2(0.002, 0.01), bias_regularizer=R.L2(0.1))(i)
    x = L.BatchNormalization(gamma_regularizer=R.L1(0.001), beta_regularizer=R.L2())(x)
    x = L.SeparableConv2D(6, 2, activation="relu", depthwise_regularizer=R.L2(0.02), pointwise_regularizer=R.L1L2(0.003, 0.02))(x)
    x = L.DepthwiseConv2D(2, depthwise_regularizer=R.L1())(x)
    x = L.Dense(CLASSES, "softmax", kernel_regularizer=R.L1L2(0.01, 0.02))(L.Flatten()(x))
    return keras.Model(i, x), keras.optimizers.SGD(0.05, momentum=0.9, clipnorm=0.05)


losses = {"keras": keras.__version__}
for net in (mlp, separable, residual, regularized):
    model, optimizer = net()
    for layer in model.layers:
        for number, weight in enumerate(layer.weights):
            if weight.name in ("kernel", "depthwise_kernel", "pointwise_kernel"):
                size = int(np.prod(weight.shape))
                weight.assign(values(size, 31 + 2 * number, 7).reshape(weight.shape))
    inputs = values(SAMPLES * int(np.prod(model.input_shape[1:])), 73, 5).reshape((SAMPLES, *model.input_shape[1:])) * 4
    labels = (np.arange(SAMPLES) * 5 + np.arange(SAMPLES) // 7) % CLASSES
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", jit_compile=False)
    losses[net.__name__] = []
    for _ in range(STEPS):
        model.reset_metrics()  # Otherwise Keras gives the mean of all steps so far.
        losses[net.__name__].append(float(model.train_on_batch(inputs, labels)))
print(json.dumps(losses, indent=1))
