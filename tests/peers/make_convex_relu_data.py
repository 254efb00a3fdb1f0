"""Makes tests/data/convex_relu: small problems with optima from an interior-point solver, each with
the relative duality gap that bounds its error. Prints one line per optimum."""

import importlib.metadata

import numpy as np
from sklearn import datasets, preprocessing

import convex_relu_bounds as bounds
import convex_relu_conic as conic
from convex_relu_problem import Problem, gaussian_gates, one_hot, scaled, signs, write_text
from peer_driver import ROOT

FOLDER = ROOT / "tests/data/convex_relu"
FRACTIONS = (0.5, 0.1, 0.01, 0.001)  # of C-GReLU's lambda_max


def to_float(matrix):
    """The same problem in 32 and 64 bits."""
    return np.asarray(matrix, dtype=np.float32).astype(np.float64)


def problem_of(features, targets, patterns, seed, loss="squared", bias_gates=False):
    x = to_float(scaled(features)[0])
    gates = to_float(gaussian_gates(x, 50 * patterns, seed, bias_gates))
    clear = np.abs(gates @ x.T).min(axis=1) > 1e-5  # the pattern is the same in 32 bits
    gates = gates[clear][:patterns]
    if len(gates) < patterns:
        raise RuntimeError(f"only {len(gates)} patterns")
    return Problem(x, to_float(targets), gates, loss)


def line_problem():
    """One feature and the bias, with every pattern that a line has: C-ReLU is the network's optimum."""
    rng = np.random.default_rng(5)
    feature = np.sort(rng.uniform(-1, 1, 8))
    x = to_float(scaled(feature[:, None])[0])
    thresholds = [feature[0] - 1, *((feature[1:] + feature[:-1]) / 2), feature[-1] + 1]
    norms = scaled(feature[:, None])[1]
    # Both sides of each threshold; beyond the ends one pattern is empty, the other full.
    gates = [sign * np.array([norms[0], -threshold * norms[1]])
             for threshold in thresholds[:-1] for sign in (1.0, -1.0)]
    gates = to_float([gate for gate in gates if (x @ gate > 0).any()])
    targets = to_float(np.sin(4 * feature) + 0.3 * rng.standard_normal(8))[:, None]
    return Problem(x, targets, gates)


def problems():
    standard = preprocessing.scale
    rng = np.random.default_rng(1)
    x, y = datasets.load_diabetes(return_X_y=True)
    rows = rng.permutation(len(x))[:60]
    yield "diabetes", problem_of(standard(x[rows]), standard(y[rows])[:, None], 20, 11)
    x, y = datasets.load_iris(return_X_y=True)
    rows = np.arange(0, 150, 3)
    yield "iris_outputs", problem_of(standard(x[rows]), one_hot(y[rows]), 15, 12)
    yield "iris_softmax", problem_of(standard(x[rows]), one_hot(y[rows]), 10, 13, "softmax")
    x, y = datasets.load_breast_cancer(return_X_y=True)
    rows = rng.permutation(len(x))[:50]
    yield "cancer_logistic", problem_of(standard(x[rows][:, :8]), signs(y[rows]), 15, 14, "logistic")
    x, y = datasets.load_wine(return_X_y=True)
    rows = np.arange(0, 130, 3)
    # Unlike columns, not standardised: ill-conditioned.
    yield "wine_raw", problem_of(x[rows], signs(y[rows]), 20, 15)
    yield "line", line_problem()


def main():
    solver = f"cvxpy {importlib.metadata.version('cvxpy')} with clarabel {importlib.metadata.version('clarabel')}"
    for name, problem in problems():
        largest = bounds.lambda_max(problem)
        cases = []
        for fraction in FRACTIONS:
            lam = float(np.float32(fraction * largest[0]))
            gated = conic.Optimum.gated(problem, lam)
            relu = conic.Optimum.relu(problem, lam)
            cases.append((lam, gated.value, gated.gap, relu.value, relu.gap))
            print(f"{name} n {len(problem.x)} d {problem.x.shape[1]} P {len(problem.gates)} lambda {lam:.3g}: gated "
                  f"{gated.value:.12g} gap {gated.gap:.1e}, relu {relu.value:.12g} gap {relu.gap:.1e}", flush=True)
        write_text(FOLDER / f"{name}.txt", problem, cases, [
            solver, f"lambda_max {largest[0]:.17g} gated, {largest[1]:.17g} relu"])


if __name__ == "__main__":
    main()
