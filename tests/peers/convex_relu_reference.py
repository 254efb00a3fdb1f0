"""R-FISTA for C-GReLU and the augmented Lagrangian of C-ReLU as the authors' release runs them, in
PyTorch: all outputs as one problem, squared loss, line search on differences of objectives that are
computed anew each time. In float32 it stands for the release's speed, in float64 for its numbers of
iterations. Weights are c x P x d (C-ReLU: 2 x c x P x d, first v, then w).
"""

import dataclasses
import time

import torch


@dataclasses.dataclass
class Options:
    tolerance: float = 1e-6  # of the squared norm of the minimum-norm subgradient
    iterations: int = 10_000
    first_step: float = 10.0
    release_momentum: bool = True
    # Line search on ||Z(x+) - Z(v)||^2 / (2 n c), which equals the difference of objectives less its
    # linear part but does not cancel; C-GReLU only.
    exact_search: bool = False


@dataclasses.dataclass
class Counts:
    iterations: int = 0
    trials: int = 0
    forwards: int = 0
    backwards: int = 0
    seconds: float = 0.0  # of the iterations, without what the caller's test takes
    ended: str = "limit"  # or converged, diverged, caller


class GatedLoss:
    """1/(2 n c) ||sum_i D_i X u_i - Y||^2. `einsum`: the plain contraction of X, u and D, which makes
    an n x cP intermediate; otherwise D times the weights of all outputs first."""

    def __init__(self, problem, dtype, einsum=True):
        if problem.loss != "squared":
            raise ValueError("the release has the squared loss only")
        self.x = torch.tensor(problem.x, dtype=dtype)
        self.y = torch.tensor(problem.y, dtype=dtype)
        self.d = torch.tensor(problem.patterns, dtype=dtype)
        self.count = problem.count
        self.einsum = einsum
        self.shape = (problem.y.shape[1],) + problem.gates.shape
        self.counts = Counts()

    def predictions(self, u):
        self.counts.forwards += 1
        if self.einsum:
            return torch.einsum("nd,cpd,np->nc", self.x, u, self.d)
        outputs, patterns, features = u.shape
        stacked = self.d @ u.permute(1, 0, 2).reshape(patterns, outputs * features)
        return (stacked.view(-1, outputs, features) * self.x[:, None, :]).sum(dim=2)

    def adjoint(self, residuals):
        self.counts.backwards += 1
        products = residuals[:, :, None] * self.x[:, None, :]
        n, outputs, features = products.shape
        stacked = self.d.T @ products.view(n, outputs * features)
        return stacked.view(-1, outputs, features).permute(1, 0, 2).contiguous()

    def value(self, u):
        return ((self.predictions(u) - self.y) ** 2).sum() / (2 * self.count)

    def curvature(self, s):
        """f(u + s) - f(u) - <f'(u), s> for every u."""
        return (self.predictions(s) ** 2).sum() / (2 * self.count)

    def gradient(self, u):
        return self.adjoint((self.predictions(u) - self.y) / self.count)


class AugmentedLoss:
    """The smooth part of the augmented Lagrangian, weights 2 x c x P x d, multipliers 2 x c x P x n."""

    def __init__(self, problem, dtype, einsum=True):
        self.gated = GatedLoss(problem, dtype, einsum)
        self.counts = self.gated.counts
        self.sides = (2 * self.gated.d - 1).T.contiguous()  # P x n
        self.shape = (2,) + self.gated.shape
        self.delta = 1000.0 / len(problem.x)
        self.multipliers = torch.zeros(self.shape[:-1] + (len(problem.x),), dtype=dtype)

    def margins(self, vw):
        """A_i v_i and A_i w_i."""
        return (vw @ self.gated.x.T) * self.sides

    def violation(self, vw):
        return (torch.clamp(-self.margins(vw), min=0) ** 2).sum().item()

    def _shifted(self, vw):
        return torch.clamp(self.multipliers / self.delta - self.margins(vw), min=0)

    def value(self, vw):
        return self.gated.value(vw[0] - vw[1]) + self.delta / 2 * (self._shifted(vw) ** 2).sum()

    def gradient(self, vw):
        shared = self.gated.gradient(vw[0] - vw[1])
        penalty = -self.delta * ((self._shifted(vw) * self.sides) @ self.gated.x)
        return torch.stack([shared, -shared]) + penalty


def norms(u):
    return torch.linalg.vector_norm(u, dim=-1, keepdim=True)


def prox(u, threshold):
    size = norms(u)
    return u * torch.clamp(1 - threshold / torch.where(size > 0, size, 1), min=0)


def squared_subgradient(u, gradient, lam):
    size = norms(u)
    slope = norms(gradient)
    at_zero = gradient * torch.clamp(1 - lam / torch.where(slope > 0, slope, 1), min=0)
    away = gradient + lam * u / torch.where(size > 0, size, 1)
    return (torch.where(size > 0, away, at_zero) ** 2).sum().item()


class Fista:
    """The iterations; `step` lives on between solves."""

    def __init__(self, smooth, lam, options):
        self.smooth, self.lam, self.options = smooth, lam, options
        self.step = options.first_step
        self.counts = smooth.counts

    def _line_search(self, v, gradient, at_v):
        """A trial point that the quadratic bound holds for, and the step for the next iteration."""
        for _ in range(50):
            trial = prox(v - self.step * gradient, self.step * self.lam)
            self.counts.trials += 1
            s = trial - v
            if self.options.exact_search:
                difference = self.smooth.curvature(s)
            else:
                difference = self.smooth.value(trial) - at_v - (gradient * s).sum()
            excess = 2 * self.step * difference.item()
            length = (s**2).sum().item()
            if excess <= length:
                return trial, 1.25 * self.step if length > 5 * excess else self.step
            self.step *= 0.8
        return prox(v - 1e-8 * gradient, 1e-8 * self.lam), self.step

    def solve(self, start, tolerance, ends=lambda x, subgradient: False):
        """From `start` until the squared subgradient is within `tolerance`, or ends(x, it) says so."""
        x = v = start
        t = 1.0
        limit = 1000 * (self.smooth.value(start) + self.lam * norms(start).sum()).item()
        while self.counts.iterations < self.options.iterations:
            began = time.perf_counter()
            self.counts.iterations += 1
            trial, next_step = self._line_search(v, self.smooth.gradient(v), self.smooth.value(v))
            root = 0.5 * (1 + 4 * t * t) ** 0.5
            next_t = (1 if self.options.release_momentum else 0.5) + root
            if ((trial - x) * (v - trial)).sum() > 0:
                t, v = 1.0, trial
            else:
                v = trial + (t - 1) / next_t * (trial - x)
                t = next_t
            x, self.step = trial, next_step
            objective = (self.smooth.value(x) + self.lam * norms(x).sum()).item()
            subgradient = squared_subgradient(x, self.smooth.gradient(x), self.lam)
            self.counts.seconds += time.perf_counter() - began
            if not objective <= limit:
                self.counts.ended = "diverged"
                return x
            if subgradient <= tolerance:
                self.counts.ended = "converged"
                return x
            if ends(x, subgradient):
                self.counts.ended = "caller"
                return x
        self.counts.ended = "limit"
        return x


def solve_gated(problem, lam, dtype=torch.float32, options=Options(), einsum=True,
                ends=lambda x, subgradient: False):
    """Weights c x P x d as a 64-bit array, and counts."""
    loss = GatedLoss(problem, dtype, einsum)
    fista = Fista(loss, lam, options)
    u = fista.solve(torch.zeros(loss.shape, dtype=dtype), options.tolerance, ends)
    return u.double().numpy(), loss.counts


def solve_relu(problem, lam, dtype=torch.float32, options=Options(), einsum=True, release=True,
               ends=lambda vw: False):
    """Weights 2 x c x P x d as a 64-bit array, not repaired, and counts. `release`: the multipliers
    grow by the clipped gaps and every sub-problem begins with the first step."""
    loss = AugmentedLoss(problem, dtype, einsum)
    fista = Fista(loss, lam, options)
    vw = torch.zeros(loss.shape, dtype=dtype)

    def met(point, subgradient):
        return ends(point) or (subgradient <= 1e-6 and loss.violation(point) <= 1e-6)

    window, tolerance = True, 1e-3
    while loss.counts.iterations < options.iterations:
        if release:
            fista.step = options.first_step
        vw = fista.solve(vw, tolerance, met)
        violation = loss.violation(vw)
        if loss.counts.ended in ("caller", "diverged"):
            break
        if loss.counts.ended == "converged" and violation <= 1e-6 and tolerance <= 1e-6:
            break
        if window:
            if violation > 1e-2:
                loss.delta *= 2
            elif violation < 1e-3:
                loss.delta /= 2
                tolerance /= 2
            else:
                window, tolerance = False, options.tolerance
            continue
        margins = loss.margins(vw)
        if release:
            loss.multipliers += loss.delta * torch.clamp(-margins, min=0)
        else:
            loss.multipliers = torch.clamp(loss.multipliers - loss.delta * margins, min=0)
        if 2 * violation < tolerance:
            tolerance /= 2
    return vw.double().numpy(), loss.counts
