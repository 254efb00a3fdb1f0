"""Times of C-GReLU and C-ReLU on scikit-learn's digits (1497 training rows of 64 pixels and the bias,
10 one-hot outputs, 500 patterns) by the release's rules in PyTorch, and by our own driver where it is
built. Prints, asserts nothing:

    measure_convex_relu.py [--fractions 0.1 0.01] [--patterns 500] [--threads 2] [--iterations 3000]
"""

import argparse
import time

import numpy as np
import torch
from sklearn import datasets

import convex_relu_bounds as bounds
import convex_relu_driver as driver
import convex_relu_problem as problems
import convex_relu_reference as reference

GAP = 1e-6


def digits(patterns):
    x, y = datasets.load_digits(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(x))[:-300]
    scaled = problems.scaled(x[rows])[0]
    gates = problems.gaussian_gates(scaled, 2 * patterns, seed=1)[:patterns]
    return problems.Problem(scaled, problems.one_hot(y)[rows], gates)


def operations(problem, counts, augmented):
    """2 n P c d for each product with the patterns; the augmented Lagrangian has two more of that size
    beside each, for the margins of v and w or their adjoint."""
    one = 2.0 * problem.x.size * len(problem.gates) * problem.y.shape[1]
    return (counts.forwards + counts.backwards) * one * (3 if augmented else 1)


def line(label, **figures):
    print(f"{label:<44}" + "  ".join(f"{name} {value}" for name, value in figures.items()), flush=True)


def report_reference(label, problem, objective, counts, gap=None):
    line(label, ended=counts.ended, iterations=counts.iterations, seconds=f"{counts.seconds:.3f}",
         ms_per_iteration=f"{1000 * counts.seconds / counts.iterations:.2f}",
         forwards=f"{counts.forwards / counts.iterations:.2f}",
         gflops=f"{operations(problem, counts, gap is None) / counts.seconds * 1e-9:.1f}",
         F=f"{objective:.9g}", gap="-" if gap is None else f"{gap:.2e}")


def relative_gap(problem, u, lam):
    value = bounds.gated_objective(problem, u, lam)
    return (value - bounds.gated_bound(problem, bounds.predictions(problem, u), lam)) / value


def measure_gated(problem, lam, iterations):
    for einsum in (True, False):
        order = "einsum" if einsum else "D first"
        reference.solve_gated(problem, lam, options=reference.Options(iterations=3), einsum=einsum)
        u, counts = reference.solve_gated(problem, lam, einsum=einsum)
        report_reference(f"release rules, {order}, default tolerance", problem,
                         bounds.gated_objective(problem, u, lam), counts, relative_gap(problem, u, lam))

        since = [0]

        def ends(u, _subgradient, since=since):
            since[0] += 1
            return since[0] % 20 == 0 and relative_gap(problem, u.double().numpy(), lam) <= GAP

        u, counts = reference.solve_gated(
            problem, lam, options=reference.Options(tolerance=0, iterations=iterations), einsum=einsum, ends=ends)
        report_reference(f"release rules, {order}, gap {GAP:g}", problem,
                         bounds.gated_objective(problem, u, lam), counts, relative_gap(problem, u, lam))


def measure_relu(problem, lam, most_seconds):
    reference.solve_relu(problem, lam, options=reference.Options(iterations=2))
    began = time.perf_counter()
    vw, counts = reference.solve_relu(
        problem, lam, ends=lambda _: time.perf_counter() - began > most_seconds)
    label = "release rules, augmented Lagrangian"
    repaired = bounds.repaired(problem, *vw)
    report_reference(label, problem, bounds.relu_objective(problem, *vw, lam), counts)
    line("  after repair", F=f"{bounds.relu_objective(problem, *repaired, lam):.9g}",
         max_violation=f"{max(bounds.violations(problem, part).max() for part in vw):.2e}")


def measure_driver(problem, lam, model, rule, tolerance, bits, threads):
    if not driver.DRIVER.exists():
        return
    found = driver.solve(problem, driver.Options(lam, model=model, rule=rule, tolerance=tolerance,
                                                 bits=bits, threads=threads, momentum="release"))
    line(f"trainyard, {model}, {rule} {tolerance:g}, {bits} bits", **found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--fractions", type=float, nargs="+", default=[0.1, 0.01])
    parser.add_argument("--patterns", type=int, default=500)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--relu-seconds", type=float, default=120)
    parser.add_argument("--iterations", type=int, default=3000, help="most in float32 up to the gap")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    problem = digits(arguments.patterns)
    largest = bounds.group_norms(bounds.adjoint(
        problem, bounds.loss_gradient(problem, np.zeros_like(problem.y)))).max()
    print(f"n {len(problem.x)} d {problem.x.shape[1]} c {problem.y.shape[1]} P {len(problem.gates)}, "
          f"lambda_max {largest:.4g}, torch {torch.__version__}, {arguments.threads} threads")
    for fraction in arguments.fractions:
        lam = fraction * largest
        print(f"lambda {lam:.4g} = {fraction:g} lambda_max")
        measure_gated(problem, lam, arguments.iterations)
        for bits in (32, 64):
            measure_driver(problem, lam, "gated", "parity", 1e-6, bits, arguments.threads)
            measure_driver(problem, lam, "gated", "gap", GAP, bits, arguments.threads)
        if arguments.relu_seconds > 0:
            measure_relu(problem, lam, arguments.relu_seconds)
            measure_driver(problem, lam, "relu", "gap", 1e-4, 64, arguments.threads)


if __name__ == "__main__":
    main()
