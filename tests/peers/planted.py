"""Data from a planted two-layer network as in the paper's first figure (n = 250, d = 50, 100 neurons,
lambda = 1e-4), as CSV for the service, and stochastic gradients from ten seeds on it in PyTorch
beside our own (nonconvex_peer_driver, where it is built):

    planted.py csv FOLDER            writes planted_train.csv and planted_test.csv
    planted.py train [--step 10] [--adam] [--neurons 100] [--epochs 1000] [--seeds 10]

Both train in the scaled space of the convex problem, with the same objective, batches of a tenth of
the rows, a step that is halved every 100 epochs and PyTorch's uniform first weights.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time

import numpy as np
import torch

import convex_relu_driver as driver
import convex_relu_problem as problems
from peer_driver import DRIVERS, write_csv

ROWS, FEATURES, NEURONS, PENALTY = 250, 50, 100, 1e-4


def planted(rows, stream):
    """Gaussian rows and the standardised outputs of a network with Gaussian weights."""
    network = np.random.default_rng(1)
    first = network.standard_normal((NEURONS, FEATURES))
    second = network.standard_normal(NEURONS)
    x = np.random.default_rng([2, stream]).standard_normal((rows, FEATURES))
    reference = np.random.default_rng([2, 0]).standard_normal((ROWS, FEATURES))
    shift, scale = (f(np.maximum(reference @ first.T, 0) @ second) for f in (np.mean, np.std))
    return x, (np.maximum(x @ first.T, 0) @ second - shift) / scale


def problem():
    x, y = planted(ROWS, 0)
    scaled = problems.scaled(x)[0]
    return problems.Problem(scaled, y[:, None], np.eye(1, scaled.shape[1]))


def objective(network, x, y):
    loss = ((network(x) - y) ** 2).sum() / (2 * y.numel())
    return loss + PENALTY / 2 * sum((weight**2).sum() for weight in network.parameters())


def train_torch(data, arguments, seed):
    torch.manual_seed(seed)
    x = torch.tensor(data.x, dtype=torch.float32)
    y = torch.tensor(data.y, dtype=torch.float32)
    network = torch.nn.Sequential(torch.nn.Linear(x.shape[1], arguments.neurons, bias=False), torch.nn.ReLU(),
                                  torch.nn.Linear(arguments.neurons, 1, bias=False))
    with torch.no_grad():
        for layer in (network[0], network[2]):
            bound = arguments.scale / layer.in_features**0.5
            layer.weight.uniform_(-bound, bound)
    kind = torch.optim.Adam if arguments.adam else torch.optim.SGD
    optimizer = kind(network.parameters(), lr=arguments.step)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, arguments.decay_epochs, 0.5)
    batch = len(x) // 10
    for _ in range(arguments.epochs):
        for rows in torch.randperm(len(x)).split(batch):
            optimizer.zero_grad()
            objective(network, x[rows], y[rows]).backward()
            optimizer.step()
        schedule.step()
    value = objective(network.double(), x.double(), y.double()).item()
    return value if np.isfinite(value) else None


def train_ours(data, arguments):
    program = DRIVERS / "nonconvex_peer_driver"
    if not program.exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        request = pathlib.Path(folder) / "request"
        driver.write_request(request, data, driver.Options(PENALTY))
        done = subprocess.run(
            [program, request, str(arguments.neurons), str(arguments.step), str(arguments.epochs),
             str(arguments.decay_epochs), "0.1", str(arguments.scale), str(arguments.seeds),
             str(int(arguments.adam))], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def report(label, values, seconds):
    finite = np.array([value for value in values if value is not None])
    print(f"{label}: {len(values) - len(finite)} diverged, {seconds:.1f} s", flush=True)
    if len(finite) > 0:
        print(f"  mean {finite.mean():.6g}, least {finite.min():.6g}, greatest {finite.max():.6g}, spread "
              f"{(finite.max() - finite.min()) / finite.mean():.3g}, deviation {finite.std():.2g}", flush=True)


def train(arguments):
    torch.set_num_threads(1)
    data = problem()
    began = time.perf_counter()
    report("PyTorch", [train_torch(data, arguments, seed) for seed in range(arguments.seeds)],
           time.perf_counter() - began)
    began = time.perf_counter()
    ours = train_ours(data, arguments)
    if ours is not None:
        report("trainyard", ours, time.perf_counter() - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("csv").add_argument("folder", type=pathlib.Path)
    options = commands.add_parser("train")
    options.add_argument("--step", type=float, default=10)
    options.add_argument("--adam", action="store_true")
    options.add_argument("--neurons", type=int, default=NEURONS)
    options.add_argument("--epochs", type=int, default=1000)
    options.add_argument("--decay-epochs", type=int, default=100)
    options.add_argument("--scale", type=float, default=1)
    options.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    if arguments.command == "train":
        train(arguments)
        return
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name, rows, stream in (("train", ROWS, 0), ("test", 1000, 1)):
        write_csv(arguments.folder / f"planted_{name}.csv", *planted(rows, stream))


if __name__ == "__main__":
    main()
