"""Calls convex_relu_peer_driver.

    convex_relu_peer_driver REQUEST

REQUEST is a binary file, all little-endian:

    8 bytes     the magic "CVXRELU1"
    11 int64    n, d, c, P; loss (0 squared, 1 logistic, 2 softmax); model (0 C-GReLU, 1 C-ReLU);
                bits of the weights (32 or 64); rule (0: stop at a relative duality gap, 1: parity, the
                squared minimum-norm subgradient, all outputs as one problem, from zero with step 10);
                momentum (0 textbook, 1 release); most iterations; threads
    2 float64   lambda, tolerance (of what the rule says)
    float64     X (n x d), Y (n x c), gates (P x d), row-major; X is scaled and has the bias as last column

It prints one JSON object: objective (of the model, in 64 bits, at a feasible point), gap (relative, certified),
iterations, seconds (of solving, without reading), max_violation (C-ReLU), and whatever else it knows.
"""

import dataclasses
import json
import pathlib
import struct
import subprocess
import tempfile

import numpy as np

from convex_relu_problem import LOSSES, Problem
from peer_driver import DRIVERS

MAGIC = b"CVXRELU1"
DRIVER = DRIVERS / "convex_relu_peer_driver"
MODELS = ("gated", "relu")
RULES = ("gap", "parity")
MOMENTA = ("textbook", "release")


@dataclasses.dataclass
class Options:
    lam: float
    model: str = "gated"
    bits: int = 64
    rule: str = "gap"
    tolerance: float = 1e-9
    momentum: str = "textbook"
    iterations: int = 1_000_000
    threads: int = 2


def write_request(file, problem, options):
    n, d = problem.x.shape
    with open(file, "wb") as out:
        out.write(MAGIC)
        out.write(struct.pack("<11q2d", n, d, problem.y.shape[1], len(problem.gates),
                              LOSSES.index(problem.loss), MODELS.index(options.model), options.bits,
                              RULES.index(options.rule), MOMENTA.index(options.momentum),
                              options.iterations, options.threads, options.lam, options.tolerance))
        for matrix in (problem.x, problem.y, problem.gates):
            out.write(np.ascontiguousarray(matrix, dtype="<f8").tobytes())


def read_request(file):
    with open(file, "rb") as source:
        if source.read(len(MAGIC)) != MAGIC:
            raise ValueError(f"{file} is no request")
        (n, d, c, p, loss, model, bits, rule, momentum, iterations, threads, lam,
         tolerance) = struct.unpack("<11q2d", source.read(104))
        matrices = [np.frombuffer(source.read(8 * rows * columns), dtype="<f8").reshape(rows, columns)
                    for rows, columns in ((n, d), (n, c), (p, d))]
    return Problem(*matrices, LOSSES[loss]), Options(
        lam, MODELS[model], bits, RULES[rule], tolerance, MOMENTA[momentum], iterations, threads)


def solve(problem, options, driver=DRIVER):
    """The driver's answer."""
    with tempfile.TemporaryDirectory() as folder:
        request = pathlib.Path(folder) / "request"
        write_request(request, problem, options)
        done = subprocess.run([driver, request], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)
