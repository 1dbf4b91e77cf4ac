"""Milliseconds per training step of PyTorch, as a line of JSON: torch_steps.py WORKLOAD BATCH [--threads N].

Its fastest way on the processor: images in memory as channels last, fused optimizers, and a loop over tensors in memory
instead of a DataLoader. The clock covers epochs of about 0.3 s, shuffling included; the median and the fastest.
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
parser.add_argument("--threads", type=int, default=os.cpu_count())
arguments = parser.parse_args()

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    print(json.dumps({"missing": "pip install torch"}))
    sys.exit()

EPOCH_SECONDS, SECONDS = 0.3, 3
VOCABULARY = 10_000


def normalization(channels, kind=nn.BatchNorm2d):
    """Batch normalization with Keras's numbers."""
    return kind(channels, eps=1e-3, momentum=0.01)


def mlp():
    """W1: dense layers of 300, 100 and 10 units with batch normalization."""
    net = [nn.Flatten(), normalization(784, nn.BatchNorm1d)]
    for inputs, units in ((784, 300), (300, 100)):
        net += [nn.Linear(inputs, units), nn.ReLU(), normalization(units, nn.BatchNorm1d)]
    return nn.Sequential(*net, nn.Linear(100, 10))


def separable():
    """W2: separable convolutions at full resolution."""

    def convolution(inputs, filters):
        depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        return depthwise, nn.Conv2d(inputs, filters, 1), nn.ReLU()

    net = [*convolution(1, 32), normalization(32), *convolution(32, 64), normalization(64), nn.MaxPool2d(2)]
    net += [*convolution(64, 64), *convolution(64, 128), nn.MaxPool2d(2)]
    net += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 10)]
    return nn.Sequential(*net)


class Block(nn.Module):
    """A residual block of ResNet-8."""

    def __init__(self, inputs, filters, stride):
        super().__init__()
        first = [nn.Conv2d(inputs, filters, 3, stride, padding=1), normalization(filters), nn.ReLU()]
        self.long = nn.Sequential(*first, nn.Conv2d(filters, filters, 3, padding=1), normalization(filters))
        self.short = nn.Identity() if stride == 1 else nn.Conv2d(inputs, filters, 1, stride)

    def forward(self, x):
        return torch.relu(self.short(x) + self.long(x))


def resnet8():
    """W3: ResNet-8 of MLPerf Tiny."""
    net = [nn.Conv2d(3, 16, 3, padding=1), normalization(16), nn.ReLU()]
    net += [Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2)]
    return nn.Sequential(*net, nn.AvgPool2d(8), nn.Flatten(), nn.Linear(64, 10))


def ds_cnn():
    """W4: DS-CNN of MLPerf Tiny."""
    net = [nn.ZeroPad2d((1, 1, 4, 5)), nn.Conv2d(1, 64, (10, 4), 2), normalization(64), nn.ReLU()]
    for _ in range(4):
        net += [nn.Conv2d(64, 64, 3, padding=1, groups=64), normalization(64), nn.ReLU()]
        net += [nn.Conv2d(64, 64, 1), normalization(64), nn.ReLU()]
    return nn.Sequential(*net, nn.AvgPool2d((25, 5)), nn.Flatten(), nn.Linear(64, 12))


def recurrent(features, units):
    """An LSTM with one bias, as Keras and Samara have it: the second stays zero."""
    lstm = nn.LSTM(features, units, batch_first=True)
    nn.init.zeros_(lstm.bias_hh_l0)
    lstm.bias_hh_l0.requires_grad = False
    return lstm


class Siamese(nn.Module):
    """W5: one LSTM on two sequences."""

    def __init__(self):
        super().__init__()
        self.shared, self.head = recurrent(128, 32), nn.Linear(64, 1)

    def forward(self, left, right):
        both = torch.cat([self.shared(side)[1][0][0] for side in (left, right)], 1)
        return self.head(both)[:, 0]


class Answers(nn.Module):
    """W6: an embedding and an LSTM for each of two texts."""

    def __init__(self):
        super().__init__()
        self.words = nn.ModuleList([nn.Embedding(VOCABULARY, 64), nn.Embedding(VOCABULARY, 32)])
        self.texts = nn.ModuleList([recurrent(64, 32), recurrent(32, 16)])
        self.head = nn.Linear(48, 500)

    def forward(self, *tokens):
        parts = zip(self.texts, self.words, tokens)
        return self.head(torch.cat([text(words(token))[1][0][0] for text, words, token in parts], 1))


def random_data(samples):
    """Inputs and targets."""
    if arguments.workload == "w5":
        return [torch.rand(samples, 20, 128) for _ in range(2)], torch.randint(0, 2, (samples,)).float()
    if arguments.workload == "w6":
        return [torch.randint(0, VOCABULARY, (samples, 100)) for _ in range(2)], torch.randint(0, classes, (samples,))
    # Stored with the channels last, a batch is a view of the rows picked: nothing is copied twice.
    return [torch.rand(samples, *shape)], torch.randint(0, classes, (samples,))


def batch_of(x, rows):
    """The rows picked; pictures as PyTorch has them."""
    picked = x.index_select(0, rows)
    return picked.permute(0, 3, 1, 2) if picked.dim() == 4 else picked


def measure(steps, seconds):
    """Milliseconds per step of each epoch, sorted."""
    inputs, y = random_data(steps * arguments.batch)
    times = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        for rows in torch.randperm(len(y)).split(arguments.batch):
            optimizer.zero_grad()
            loss(model(*(batch_of(x, rows) for x in inputs)), y.index_select(0, rows)).backward()
            optimizer.step()
        times.append(1e3 * (time.perf_counter() - start) / steps)
    return sorted(times)


torch.set_num_threads(arguments.threads)
torch.manual_seed(1)
net, optimizer, shape, classes, penalty, parameters = {
    "w1": (mlp, torch.optim.SGD, (28, 28, 1), 10, 0, 271_346),
    "w2": (separable, torch.optim.Adam, (28, 28, 1), 10, 0, 20_947),
    "w3": (resnet8, torch.optim.Adam, (32, 32, 3), 10, 1e-4, 78_666),
    "w4": (ds_cnn, torch.optim.Adam, (49, 10, 1), 12, 1e-4, 24_908),
    "w5": (Siamese, torch.optim.RMSprop, None, 2, 0, 20_673),
    "w6": (Answers, torch.optim.RMSprop, None, 500, 0, 1_000_052),
}[arguments.workload]
model = net().to(memory_format=torch.channels_last)
# Keras and Samara count the moving averages of batch normalization, but not PyTorch's number of batches seen.
counted = {name: tensor for name, tensor in model.state_dict().items() if "bias_hh" not in name}
found = sum(tensor.numel() for tensor in counted.values() if tensor.is_floating_point())
assert found == parameters, f"the net has {found} parameters, expected {parameters}"
# The L2 penalty of the kernels, but of the depthwise ones, as what it adds to the gradient: 2 * penalty * weight.
convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d) and module.groups == 1]
kernels = {module.weight for module in convolutions if penalty}
others = [parameter for parameter in model.parameters() if parameter not in kernels]
groups = [{"params": list(kernels), "weight_decay": 2 * penalty}] if kernels else []
# There is no fused RMSprop.
fastest = {"foreach": True} if optimizer is torch.optim.RMSprop else {"fused": True}
optimizer = optimizer([*groups, {"params": others}], lr=1e-3, **fastest)
loss = nn.BCEWithLogitsLoss() if arguments.workload == "w5" else nn.CrossEntropyLoss()
measure(4, 0)  # warms up
steps = int(min(max(EPOCH_SECONDS * 1e3 / measure(12, 0)[0], 4), 1200))
times = measure(steps, SECONDS)
result = {"workload": arguments.workload, "batch": arguments.batch, "parameters": parameters, "threads": arguments.threads}
result |= {"milliseconds": statistics.median(times), "fastest_milliseconds": times[0]}
result |= {"versions": f"torch {torch.__version__}"}
print(json.dumps(result))
