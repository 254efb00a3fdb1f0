"""C-GReLU and C-ReLU by cvxpy and an interior-point solver, for few patterns (P <= 50)."""

import warnings

import cvxpy as cp
import numpy as np

import convex_relu_bounds as bounds

# Tolerance of the solver, and the objective's value at zero that it sees.
TIGHT = (1e-13, 1.0)
ATTEMPTS = (TIGHT, (1e-13, 1e2), (1e-13, 1e4), (1e-11, 1.0), (1e-9, 1.0))

ENOUGH = 1e-10  # a relative gap after which no more is attempted


def _loss(problem, z):
    y, count = problem.y, problem.count
    if problem.loss == "squared":
        return cp.sum_squares(z - y) / (2 * count)
    if problem.loss == "logistic":
        return cp.sum(cp.logistic(-cp.multiply(y, z))) / count
    return (cp.sum(cp.log_sum_exp(z, axis=1)) - cp.sum(cp.multiply(y, z))) / count


def _layer(problem, blocks):
    """z of weights given as one P x d variable per output."""
    patterns = problem.patterns
    design = np.hstack([patterns[:, [i]] * problem.x for i in range(patterns.shape[1])])
    return cp.vstack([design @ cp.vec(block, order="C") for block in blocks]).T


def _minimise(problem, objective, constraints, attempt):
    tolerance, magnitude = attempt
    scale = magnitude / bounds.loss_value(problem, np.zeros_like(problem.y))
    program = cp.Problem(cp.Minimize(scale * objective), constraints)
    with warnings.catch_warnings():
        # Callers measure how accurate a solution is; at these tolerances the solver rarely is sure.
        warnings.filterwarnings("ignore", message="Solution may be inaccurate")
        program.solve(solver=cp.CLARABEL, tol_gap_abs=tolerance, tol_gap_rel=tolerance,
                      tol_feas=tolerance, max_iter=500)
    if program.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
        raise RuntimeError(f"the solver ended with '{program.status}'")


def _variables(problem):
    shape = problem.gates.shape
    return [cp.Variable(shape) for _ in range(problem.y.shape[1])]


def _norms(blocks):
    return sum(cp.sum(cp.norm(block, 2, axis=1)) for block in blocks)


def solve_gated(problem, lam, attempt=TIGHT):
    """u, c x P x d."""
    solutions = []
    for part in problem.outputs():
        blocks = _variables(part)
        _minimise(part, _loss(part, _layer(part, blocks)) + lam * _norms(blocks), [], attempt)
        solutions += [block.value for block in blocks]
    return np.stack(solutions)


def solve_relu(problem, lam, attempt=TIGHT):
    """v and w, c x P x d each, feasible (repaired by multiples of the gates)."""
    positive, negative = [], []
    sides = np.where(problem.patterns, 1.0, -1.0).T
    for part in problem.outputs():
        v, w = _variables(part), _variables(part)
        constraints = [cp.multiply(sides, block @ part.x.T) >= 0 for block in v + w]
        objective = (_loss(part, _layer(part, v) - _layer(part, w))
                     + lam * (_norms(v) + _norms(w)))
        _minimise(part, objective, constraints, attempt)
        positive += [block.value for block in v]
        negative += [block.value for block in w]
    return bounds.repaired(problem, np.stack(positive), np.stack(negative))


class Optimum:
    """The best value and the best lower bound of an optimum over solves at several tolerances: at the
    tightest an interior-point solver may stall. `gap` is relative to the value."""

    def __init__(self, value, bound):
        self.value, self.bound = value, bound
        self.gap = (value - bound) / value

    @staticmethod
    def _best(solved, attempts):
        values, lower = [], []
        for attempt in attempts:
            value, bound = solved(attempt)
            values.append(value)
            lower.append(bound)
            optimum = Optimum(min(values), max(lower))
            if optimum.gap <= ENOUGH:
                break
        return optimum

    @staticmethod
    def gated(problem, lam, attempts=ATTEMPTS):
        def solved(attempt):
            u = solve_gated(problem, lam, attempt)
            return (bounds.gated_objective(problem, u, lam),
                    bounds.gated_bound(problem, bounds.predictions(problem, u), lam))
        return Optimum._best(solved, attempts)

    @staticmethod
    def relu(problem, lam, attempts=ATTEMPTS):
        def solved(attempt):
            v, w = solve_relu(problem, lam, attempt)
            return (bounds.relu_objective(problem, v, w, lam),
                    bounds.relu_bound(problem, bounds.predictions(problem, v - w), lam))
        return Optimum._best(solved, attempts)
