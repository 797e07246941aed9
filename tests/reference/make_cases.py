#!/usr/bin/python3
"""Make the reference cases: small trained networks and what PyTorch says of them.

    apt-get install python3-torch python3-h5py
    /usr/bin/python3 tests/reference/make_cases.py [FOLDER]

Writes one .h5 file a case to FOLDER, by default this script's own. Made with Debian 12's PyTorch 1.13 in double
precision; everything is seeded and runs on one thread, so that the same versions on the same processor give the same
numbers again (others differ in the last digits of the training, and so in a slightly different trained network).

No code of the project is used: derivatives are PyTorch's automatic ones, the spectrum is that of the dense Hessian,
and the decomposition of the gap follows its definitions. Each file holds

- data/train/x, y and data/test/x, y: integer features 0..255 (the network takes them divided by 255) and labels;
- model/dense<l>/weight (out x in) and bias where there is one;
- reference, attributes: arch, activation, bias, loss (ce, mse or softmax-mse), layer (the analysed one, from 1),
  train_loss, test_loss, train_accuracy, test_accuracy, matched_gap, total_contribution, dual_exactness;
- reference/gradient, vector, hessian_vector: of the mean training loss, over all parameters, layer by layer, weight
  (row-major) before bias;
- reference/dense<layer>/eigenvalues: the complete spectrum of that layer's Hessian, descending; per direction, in that
  order, mean_w, mean_g, sigma_w, sigma_g, correlation, contribution; per test sample pair (its nearest training sample
  of the same class), distance (of the scaled inputs), loss_gap, dual_norm.
"""
import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
import torch.nn.functional as F

EPS = np.finfo(float).eps


@dataclass
class Case:
    name: str
    arch: list  # features, widths of the layers; the last one is the number of classes
    activation: str
    bias: bool
    loss: str
    layer: int  # analysed, from 1
    train: int
    test: int
    steps: int
    rate: float
    spread: float  # of a class around its centre, in units of an input's range
    seed: int
    duplicates: int = 0  # test samples that are training samples: their dual weights are zero


CASES = [
    Case("relu_ce", [14, 10, 8, 4], "relu", False, "ce", 2, 120, 60, 600, 0.02, 0.16, 1),
    Case("tanh_bias_mse", [12, 8, 6, 3], "tanh", True, "mse", 2, 90, 45, 400, 0.01, 0.25, 2, duplicates=1),
    Case("softplus_bias_softmax_mse", [16, 9, 8, 7, 5], "softplus", True, "softmax-mse", 3, 150, 70, 500, 0.01,
         0.22, 3),
    Case("sigmoid_ce_last_layer", [13, 9, 6], "sigmoid", False, "ce", 2, 200, 80, 500, 0.02, 0.25, 4),
    Case("gelu_bias_ce_first_layer", [12, 7, 6, 4], "gelu", True, "ce", 1, 100, 50, 300, 0.01, 0.25, 5),
]

ACTIVATIONS = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    # PyTorch turns to the identity above its threshold of 20, where the difference still shows in double precision.
    "softplus": lambda z: F.softplus(z, threshold=100),
    "gelu": F.gelu,
}


def sample_losses(loss, logits, labels):
    """Loss of each sample."""
    if loss == "ce":
        return F.cross_entropy(logits, labels, reduction="none")
    outputs = torch.softmax(logits, 1) if loss == "softmax-mse" else logits
    onehot = F.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return ((outputs - onehot) ** 2).mean(1)


def make_data(case):
    """Clouds of points, one a class, rounded to integers 0..255."""
    random = np.random.default_rng(case.seed)
    classes, features = case.arch[-1], case.arch[0]
    centres = random.uniform(0.2, 0.8, (classes, features))

    def draw(count):
        y = random.permutation(np.arange(count) % classes)
        x = centres[y] + case.spread * random.standard_normal((count, features))
        return np.clip(np.round(255 * x), 0, 255).astype(np.uint8), y.astype(np.int32)

    train_x, train_y = draw(case.train)
    test_x, test_y = draw(case.test)
    for k in range(case.duplicates):
        test_x[k], test_y[k] = train_x[7 * k], train_y[7 * k]
    return train_x, train_y, test_x, test_y


class Network:
    """Layers of weights and biases; parameters in the order of the files."""

    def __init__(self, case):
        self.case = case
        self.parameters = []
        generator = torch.Generator().manual_seed(case.seed)
        for inputs, outputs in zip(case.arch, case.arch[1:]):
            bound = 1 / np.sqrt(inputs)
            for shape in [(outputs, inputs)] + ([(outputs,)] if case.bias else []):
                start = (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1) * bound
                self.parameters.append(start.requires_grad_())

    def weight_index(self, layer):
        return (layer - 1) * (2 if self.case.bias else 1)

    def run(self, x, parameters, first=1, last=None):
        """From the input of layer `first` to the preactivity of layer `last`, both from 1."""
        last = last or len(self.case.arch) - 1
        for layer in range(first, last + 1):
            at = self.weight_index(layer)
            x = F.linear(x, parameters[at], parameters[at + 1] if self.case.bias else None)
            if layer < last:
                x = ACTIVATIONS[self.case.activation](x)
        return x

    def losses(self, x, y, parameters=None):
        return sample_losses(self.case.loss, self.run(x, parameters or self.parameters), y)

    def train(self, x, y):
        optimiser = torch.optim.Adam(self.parameters, lr=self.case.rate)
        for _ in range(self.case.steps):
            optimiser.zero_grad()
            self.losses(x, y).mean().backward()
            optimiser.step()
        self.parameters = [p.detach().requires_grad_() for p in self.parameters]


def flat(tensors):
    return torch.cat([t.detach().reshape(-1) for t in tensors]).numpy()


def derivatives(network, x, y):
    """Gradient, a random vector and the Hessian's product with it, over all parameters."""
    gradient = torch.autograd.grad(network.losses(x, y).mean(), network.parameters, create_graph=True)
    random = np.random.default_rng(1000 + network.case.seed)
    vector = torch.from_numpy(random.standard_normal(sum(p.numel() for p in network.parameters)))
    along = torch.cat([g.reshape(-1) for g in gradient]) @ vector
    product = torch.autograd.grad(along, network.parameters)
    return flat(gradient), vector.numpy(), flat(product)


def layer_spectrum(network, x, y):
    """Eigenvalues (descending) and eigenvectors (columns) of the analysed layer's Hessian."""
    at = network.weight_index(network.case.layer)

    def loss(weight):
        parameters = list(network.parameters)
        parameters[at] = weight
        return network.losses(x, y, parameters).mean()

    weight = network.parameters[at].detach()
    hessian = torch.autograd.functional.hessian(loss, weight).reshape(weight.numel(), weight.numel()).numpy()
    values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    return values[::-1], vectors[:, ::-1]


def nearest_of_the_class(train_x, train_y, test_x, test_y):
    """For each test sample its nearest training sample of the same class (the first on a tie), and their distance."""
    difference = test_x[:, None, :].astype(np.int64) - train_x[None, :, :].astype(np.int64)
    square = (difference**2).sum(2)
    square[test_y[:, None] != train_y[None, :]] = np.iinfo(np.int64).max
    pair = square.argmin(1)
    return pair, np.sqrt(square[np.arange(len(pair)), pair]) / 255


def decompose(network, train, test, pair, vectors):
    """The duality of the analysed layer along the columns of `vectors`."""
    layer, parameters = network.case.layer, network.parameters
    (x, y), (xt, yt) = train, test

    def entering(inputs):
        if layer == 1:
            return inputs
        return ACTIVATIONS[network.case.activation](network.run(inputs, parameters, last=layer - 1))

    weight = parameters[network.weight_index(layer)]
    a, at = entering(x)[pair], entering(xt)
    r = (at - a) @ weight.T
    threshold = 32 * EPS * weight.norm() * (a.norm(dim=1) + at.norm(dim=1))
    r = torch.where((r.norm(dim=1) <= threshold)[:, None], torch.zeros_like(r), r)
    dual = torch.einsum("ko,ki->koi", r, a) / (a**2).sum(1)[:, None, None]
    gap = network.losses(xt, yt) - network.losses(x, y)[pair]

    # The dual weights take the test sample's loss to the training sample's activity.
    z = torch.einsum("koi,ki->ko", weight + dual, a)
    if network.case.bias:
        z = z + parameters[network.weight_index(layer) + 1]
    above = z if layer == len(network.case.arch) - 1 else network.run(
        ACTIVATIONS[network.case.activation](z), parameters, first=layer + 1)
    exactness = (sample_losses(network.case.loss, above, yt) - network.losses(xt, yt)).abs().max().item()

    dual = dual.reshape(len(pair), -1).numpy()
    gap = gap.numpy()
    norm = np.sqrt((dual**2).sum(1))
    kept = norm > 0
    w = dual @ vectors
    g = np.zeros_like(w)
    g[kept] = gap[kept, None] / norm[kept, None] ** 2 * w[kept]
    sigma_w, sigma_g = w.std(0), g.std(0)
    covariance = (w * g).mean(0) - w.mean(0) * g.mean(0)
    product = sigma_w * sigma_g
    correlation = np.divide(covariance, product, out=np.zeros_like(product), where=product > 1e-300)
    per_direction = dict(mean_w=w.mean(0), mean_g=g.mean(0), sigma_w=sigma_w, sigma_g=sigma_g,
                         correlation=correlation, contribution=(w * g).mean(0))
    return per_direction, dict(loss_gap=gap, dual_norm=norm), exactness


def make(case, folder):
    train_x, train_y, test_x, test_y = make_data(case)
    as_input = lambda x: torch.from_numpy(x.astype(float) / 255)
    as_label = lambda y: torch.from_numpy(y.astype(np.int64))
    train, test = (as_input(train_x), as_label(train_y)), (as_input(test_x), as_label(test_y))
    network = Network(case)
    network.train(*train)

    gradient, vector, product = derivatives(network, *train)
    values, vectors = layer_spectrum(network, *train)
    pair, distance = nearest_of_the_class(train_x, train_y, test_x, test_y)
    with torch.no_grad():
        per_direction, per_pair, exactness = decompose(network, train, test, pair, vectors)
        score = {}
        for name, (x, y) in dict(train=train, test=test).items():
            score[f"{name}_loss"] = network.losses(x, y).mean().item()
            score[f"{name}_accuracy"] = (network.run(x, network.parameters).argmax(1) == y).double().mean().item()

    path = folder / f"{case.name}.h5"
    with h5py.File(path, "w") as file:
        for name, (x, y) in dict(train=(train_x, train_y), test=(test_x, test_y)).items():
            file[f"data/{name}/x"], file[f"data/{name}/y"] = x, y
        for layer in range(1, len(case.arch)):
            at = network.weight_index(layer)
            file[f"model/dense{layer}/weight"] = network.parameters[at].detach().numpy()
            if case.bias:
                file[f"model/dense{layer}/bias"] = network.parameters[at + 1].detach().numpy()
        reference = file.create_group("reference")
        reference.attrs.update(arch=",".join(map(str, case.arch)), activation=case.activation, bias=int(case.bias),
                               loss=case.loss, layer=case.layer, matched_gap=per_pair["loss_gap"].mean(),
                               total_contribution=per_direction["contribution"].sum(), dual_exactness=exactness,
                               **score)
        reference["gradient"], reference["vector"], reference["hessian_vector"] = gradient, vector, product
        group = reference.create_group(f"dense{case.layer}")
        group["eigenvalues"], group["pair"], group["distance"] = values, pair, distance
        for name, column in {**per_direction, **per_pair}.items():
            group[name] = column
    print(f"{path.name:32s} {path.stat().st_size / 1024:5.0f} KiB  loss {score['train_loss']:.2e} -> "
          f"{score['test_loss']:.2e}  accuracy {score['train_accuracy']:.3f} -> {score['test_accuracy']:.3f}  "
          f"|gradient| {np.abs(gradient).max():.1e}  eigenvalues {values[0]:.2e} .. {values[-1]:.2e}  "
          f"exactness {exactness:.0e}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for one in CASES:
        make(one, target)
