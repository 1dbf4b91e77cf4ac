"""What Keras's recurrent layers give, for tests/tests/keras_recurrent.rs: outputs and gradients of single layers, and the losses of the
first 20 steps of three nets with several inputs or outputs, from weights and data that a formula gives.

    python3 -m venv venv && venv/bin/pip install keras==3.15.1 jax
    venv/bin/python tests/keras/recurrent.py > tests/keras/recurrent.json
"""

import json
import os

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
import jax
import keras
import numpy as np
from keras import layers as L

SAMPLES, STEPS, FEATURES, UNITS = 3, 5, 4, 3
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 1, 1, 0, 1]], dtype=bool)
KINDS = {"LSTM": (L.LSTM, 2), "GRU": (L.GRU, 1), "SimpleRNN": (L.SimpleRNN, 1)}


def values(count, factor, offset):
    """(i * factor + offset) mod 201 - 100, over 256: exact in f32."""
    return ((np.arange(count) * factor + offset) % 201 - 100).astype("float32") / np.float32(256)


def shaped(shape, factor, offset):
    return values(int(np.prod(shape)), factor, offset).reshape(shape)


def case(kind, options, merge):
    """Output of a layer, and the gradients of the mean squared error to what a formula gives."""
    flags = {"return_sequences", "return_state", "go_backwards"} & set(options)
    arguments = {flag: True for flag in flags} | {"use_bias": "without_bias" not in options}
    if kind == "GRU":
        arguments["reset_after"] = "reset_before" not in options
    make, count = KINDS[kind]
    layer = make(UNITS, **arguments)
    if merge:
        layer, count = L.Bidirectional(layer, merge_mode=merge), 2 * count
    x = shaped((SAMPLES, STEPS, FEATURES), 73, 5) * 4
    states = [shaped((SAMPLES, UNITS), 57 + 4 * number, 11) * 2 for number in range(count if "states" in options else 0)]
    layer.build(x.shape)
    weights = [shaped(weight.shape, 31 + 2 * number, 7) for number, weight in enumerate(layer.trainable_variables)]
    others = [variable.value for variable in layer.non_trainable_variables]

    def run(weights, x, states):
        # With a name, as the layer could take a list for further inputs.
        further = {"initial_state": states} if states else {}
        if "mask" in options:
            further["mask"] = MASK
        outputs = layer.stateless_call(weights, others, x, **further)[0]
        if "return_state" not in options:
            return outputs
        # The outputs, and behind them the states.
        return keras.ops.concatenate([keras.ops.reshape(output, (SAMPLES, -1)) for output in outputs], axis=1)

    target = shaped(run(weights, x, states).shape, 41, 3) * 4

    def loss(weights, x, states):
        return keras.ops.mean((run(weights, x, states) - target) ** 2)

    weight_gradients, x_gradient, state_gradients = jax.grad(loss, argnums=(0, 1, 2))(weights, x, states)
    numbers = lambda array: [float(f"{value:.8g}") for value in np.asarray(array, dtype="float64").ravel()]
    return {
        "kind": kind,
        "options": options,
        "merge": merge,
        "output": numbers(run(weights, x, states)),
        "inputs": [numbers(gradient) for gradient in [x_gradient, *state_gradients]],
        "weights": [numbers(gradient) for gradient in weight_gradients],
    }


CASES = [
    ("LSTM", [], None),
    ("LSTM", ["return_sequences"], None),
    ("LSTM", ["return_sequences", "go_backwards"], None),
    ("LSTM", ["go_backwards", "without_bias"], None),
    ("LSTM", ["states"], None),
    ("LSTM", ["mask"], None),
    ("LSTM", ["return_sequences", "go_backwards", "states", "mask"], None),
    ("GRU", [], None),
    ("GRU", ["return_sequences", "go_backwards"], None),
    ("GRU", ["return_sequences", "states", "mask"], None),
    ("GRU", ["reset_before"], None),
    ("GRU", ["reset_before", "return_sequences", "go_backwards", "without_bias"], None),
    ("GRU", ["reset_before", "go_backwards", "states", "mask"], None),
    ("SimpleRNN", ["return_sequences"], None),
    ("SimpleRNN", ["go_backwards", "without_bias"], None),
    ("SimpleRNN", ["return_sequences", "states", "mask"], None),
    ("LSTM", ["return_sequences", "return_state", "states"], None),
    ("LSTM", ["return_state", "mask"], None),
    ("GRU", ["return_sequences", "return_state", "go_backwards"], None),
    ("SimpleRNN", ["return_state"], None),
    ("LSTM", ["return_sequences"], "concat"),
    ("LSTM", ["states"], "sum"),
    ("GRU", [], "mul"),
    ("GRU", ["reset_before", "return_sequences", "mask"], "ave"),
    ("LSTM", ["mask"], "concat"),
    ("LSTM", ["return_sequences", "return_state", "states"], "concat"),
    ("SimpleRNN", ["return_sequences", "states", "mask"], "concat"),
]

NET_STEPS, BATCH = 20, 32


def tokens(length, vocabulary, factor):
    """Numbers of words, those of each sample in a row."""
    place = np.arange(BATCH * length)
    return ((place * factor + place // 7) % vocabulary).reshape(BATCH, length)


def labels(classes):
    place = np.arange(BATCH)
    return (place * 5 + place // 7) % classes


def siamese():
    """One LSTM on two inputs: are they of one kind?"""
    lstm = L.LSTM(8)
    left, right = keras.Input((20, 16)), keras.Input((20, 16))
    merged = L.Concatenate()([lstm(left), lstm(right)])
    model = keras.Model([left, right], L.Dense(1, "sigmoid")(merged))
    model.compile(keras.optimizers.RMSprop(0.003), "binary_crossentropy")
    x = [shaped((BATCH, 20, 16), factor, 5) * 4 for factor in (73, 77)]
    return model, x, labels(2).reshape(BATCH, 1)


def question_answering():
    """A text and a question about it, the answer a word."""
    text, question = keras.Input((12,), dtype="int32"), keras.Input((6,), dtype="int32")
    encoded = [L.LSTM(units)(L.Embedding(vocabulary, 8)(x)) for x, units, vocabulary in ((text, 8, 30), (question, 6, 20))]
    model = keras.Model([text, question], L.Dense(10, "softmax")(L.Concatenate()(encoded)))
    model.compile(keras.optimizers.RMSprop(0.003), "sparse_categorical_crossentropy")
    return model, [tokens(12, 30, 17), tokens(6, 20, 13)], labels(10)


def posts():
    """Age, income and gender of who wrote a post."""
    post = keras.Input((16,), dtype="int32")
    x = L.Conv1D(8, 3, activation="relu")(L.Embedding(40, 8)(post))
    x = L.Conv1D(8, 3, activation="relu")(L.MaxPooling1D(2)(x))
    x = L.Dense(8, "relu")(L.GlobalMaxPooling1D()(x))
    heads = [L.Dense(1, name="age")(x), L.Dense(4, "softmax", name="income")(x), L.Dense(1, "sigmoid", name="gender")(x)]
    model = keras.Model(post, heads)
    losses = ["mse", "categorical_crossentropy", "binary_crossentropy"]
    model.compile(keras.optimizers.Adam(0.003), losses, loss_weights=[0.25, 1.0, 10.0])
    age = (values(BATCH, 73, 5) * 4).reshape(BATCH, 1)
    return model, tokens(16, 40, 19), [age, np.eye(4, dtype="float32")[labels(4)], labels(2).reshape(BATCH, 1)]


def net_losses(model, x, y):
    for layer in model.layers:
        for number, weight in enumerate(layer.weights):
            if weight.name in ("kernel", "recurrent_kernel", "embeddings"):
                weight.assign(shaped(weight.shape, 31 + 2 * number, 7))
    losses = []
    for _ in range(NET_STEPS):
        model.reset_metrics()  # Otherwise Keras gives the mean of all steps so far.
        losses.append(float(np.ravel(model.train_on_batch(x, y))[0]))
    return losses


# A case in a line.
print("{\n" + f'"keras": "{keras.__version__}",\n"cases": [')
print(",\n".join(json.dumps(case(*options), separators=(",", ":")) for options in CASES))
print('],\n"losses": {')
print(",\n".join(f'"{net.__name__}": {json.dumps(net_losses(*net()))}' for net in (siamese, question_answering, posts)) + "\n}\n}")
