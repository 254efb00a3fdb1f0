"""Convex ReLU networks beside an interior-point solver and beside the release's rules, on the toy
sets of scikit-learn with few gates. Needs requirements_convex_relu.txt and the program
convex_relu_peer_driver; with TRAINYARD_CONVEX_RELU_STAND_IN=1 the Python reference stands in for it,
which tests this script.
"""

import dataclasses
import functools
import os
import tempfile
import unittest

import numpy as np
from sklearn import datasets, preprocessing

import convex_relu_bounds as bounds
import convex_relu_conic as conic
import convex_relu_driver as driver
import convex_relu_problem as problems

STAND_IN = os.environ.get("TRAINYARD_CONVEX_RELU_STAND_IN") == "1"
MOST_ROWS = 200  # the interior-point solver's time grows with the cube
FRACTIONS = (0.1, 0.01)  # of C-GReLU's lambda_max


def stand_in(problem, options):
    """The reference under the driver's interface."""
    import torch

    import convex_relu_reference as reference

    torch.set_num_threads(1)  # the problems are small

    if options.model == "relu":
        v, w = conic.solve_relu(problem, options.lam)
        value = bounds.relu_objective(problem, v, w, options.lam)
        bound = bounds.relu_bound(problem, bounds.predictions(problem, v - w), options.lam)
        return {"objective": value, "gap": (value - bound) / value, "iterations": 0,
                "max_violation": max(bounds.violations(problem, v).max(),
                                     bounds.violations(problem, w).max())}

    def measured(u):
        value = bounds.gated_objective(problem, u, options.lam)
        bound = bounds.gated_bound(problem, bounds.predictions(problem, u), options.lam)
        return value, (value - bound) / value

    def ends(u, subgradient):
        # A gap costs more than an iteration; far from the optimum there is no need to look.
        return (options.rule == "gap" and subgradient < 1e-9
                and measured(u.double().numpy())[1] <= options.tolerance)

    u, counts = reference.solve_gated(
        problem, options.lam, torch.float64 if options.bits == 64 else torch.float32,
        reference.Options(tolerance=options.tolerance if options.rule == "parity" else 0,
                          iterations=options.iterations,
                          release_momentum=options.momentum == "release",
                          exact_search=options.rule == "gap"), einsum=False, ends=ends)
    value, gap = measured(u)
    return {"objective": value, "gap": gap, "iterations": counts.iterations}


solve = stand_in if STAND_IN else driver.solve


@functools.cache
def toy_problem(name, patterns):
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    if name == "diabetes":
        targets = preprocessing.scale(y)[:, None]
    else:
        targets = problems.signs(y) if y.max() == 1 else problems.one_hot(y)
    rows = np.arange(0, len(x), -(-len(x) // MOST_ROWS))
    x, targets = x[rows], targets[rows]
    scaled = problems.scaled(preprocessing.scale(x))[0]
    gates = problems.gaussian_gates(scaled, 20 * patterns, seed=3)
    return problems.Problem(scaled, targets, gates[:patterns])


@unittest.skipUnless(STAND_IN or driver.DRIVER.exists(), "convex_relu_peer_driver is not built")
class ConvexReluPeerTest(unittest.TestCase):
    def cases(self, patterns):
        for name in ("diabetes", "breast_cancer", "wine", "iris"):
            problem = toy_problem(name, patterns)
            # C-ReLU's certificates take a least-squares problem for every pattern.
            largest = bounds.group_norms(bounds.adjoint(
                problem, bounds.loss_gradient(problem, np.zeros_like(problem.y)))).max()
            for fraction in FRACTIONS:
                with self.subTest(name=name, fraction=fraction):
                    yield problem, fraction * largest

    def test_gated_objective_is_the_conic_solvers(self):
        for problem, lam in self.cases(50):
            optimum = conic.Optimum.gated(problem, lam)
            found = solve(problem, driver.Options(lam, tolerance=1e-9))
            self.assertLess(optimum.gap, 1e-8)
            self.assertLess(abs(found["objective"] / optimum.value - 1), 1e-8)
            self.assertLess(found["gap"], 1e-8)

    def test_gated_objective_in_32_bits(self):
        for problem, lam in self.cases(50):
            optimum = conic.Optimum.gated(problem, lam)
            found = solve(problem, driver.Options(lam, bits=32, tolerance=1e-4))
            self.assertLess(abs(found["objective"] / optimum.value - 1), 1e-4)
            self.assertLess(found["gap"], 1e-4)

    @unittest.skipIf(STAND_IN, "the release's rules have the squared loss only")
    def test_losses_of_classes_are_the_conic_solvers(self):
        for name, loss in (("breast_cancer", "logistic"), ("iris", "softmax")):
            problem = dataclasses.replace(toy_problem(name, 15), loss=loss, count=0)
            largest = bounds.group_norms(bounds.adjoint(
                problem, bounds.loss_gradient(problem, np.zeros_like(problem.y)))).max()
            for model, solver in (("gated", conic.Optimum.gated), ("relu", conic.Optimum.relu)):
                with self.subTest(loss=loss, model=model):
                    optimum = solver(problem, 0.1 * largest)
                    found = solve(problem, driver.Options(0.1 * largest, model=model, tolerance=1e-7))
                    self.assertLess(optimum.gap, 1e-6)
                    self.assertLess(abs(found["objective"] / optimum.value - 1), 1e-6)

    def test_relu_objective_is_the_conic_solvers(self):
        for problem, lam in self.cases(20):
            optimum = conic.Optimum.relu(problem, lam, attempts=conic.ATTEMPTS[:2])
            found = solve(problem, driver.Options(lam, model="relu", tolerance=1e-7))
            self.assertLess(optimum.gap, 1e-6)
            self.assertLess(abs(found["objective"] / optimum.value - 1), 1e-6)

    def test_iterations_are_those_of_the_releases_rules(self):
        for problem, lam in self.cases(50):
            for momentum in driver.MOMENTA:
                options = driver.Options(lam, rule="parity", tolerance=1e-6, momentum=momentum)
                expected = stand_in(problem, options)
                found = solve(problem, options)
                self.assertLessEqual(abs(found["iterations"] - expected["iterations"]),
                                     max(1, 0.05 * expected["iterations"]))

    def test_request_is_read_as_written(self):
        problem = toy_problem("iris", 20)
        options = driver.Options(0.25, model="relu", bits=32, rule="parity", tolerance=1e-3,
                                 momentum="release", iterations=7, threads=1)
        file = self.enterContext(tempfile.TemporaryDirectory()) + "/request"
        driver.write_request(file, problem, options)
        read, read_options = driver.read_request(file)
        self.assertEqual(options, read_options)
        for name in ("x", "y", "gates"):
            np.testing.assert_array_equal(getattr(read, name), getattr(problem, name))


if __name__ == "__main__":
    unittest.main()
