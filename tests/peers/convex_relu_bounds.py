"""Objectives of C-GReLU and C-ReLU, lower bounds of their optima by duality, and repair of small
violations, all in float64.

For f* the conjugate of the loss and any theta with max_i ||X^T D_i theta^o|| <= lambda, -f*(theta) is
a lower bound of C-GReLU. For C-ReLU the norms become min_{gamma >= 0} ||+-X^T D_i theta^o - A_i^T
gamma||, A_i = (2 D_i - I) X. Weights are c x P x d.
"""

import numpy as np
import scipy.optimize
import scipy.special


def predictions(problem, u):
    """z^o = sum_i D_i X u^o_i, n x c."""
    patterns = problem.patterns.astype(float)
    return np.stack([np.einsum("np,np->n", patterns, problem.x @ block.T) for block in u], axis=1)


def adjoint(problem, residuals):
    """X^T D_i r^o, c x P x d."""
    patterns = problem.patterns.astype(float)
    return np.stack([patterns.T @ (residual[:, None] * problem.x) for residual in residuals.T])


def loss_value(problem, z):
    y, count = problem.y, problem.count
    if problem.loss == "squared":
        return 0.5 / count * np.sum((z - y) ** 2)
    if problem.loss == "logistic":
        return np.sum(np.logaddexp(0, -y * z)) / count
    return np.sum(scipy.special.logsumexp(z, axis=1) - np.sum(y * z, axis=1)) / count


def loss_gradient(problem, z):
    y, count = problem.y, problem.count
    if problem.loss == "squared":
        return (z - y) / count
    if problem.loss == "logistic":
        return -y * scipy.special.expit(-y * z) / count
    return (scipy.special.softmax(z, axis=1) - y) / count


def group_norms(u):
    return np.linalg.norm(u, axis=-1)


def gated_objective(problem, u, lam):
    return loss_value(problem, predictions(problem, u)) + lam * group_norms(u).sum()


def relu_objective(problem, v, w, lam):
    return (loss_value(problem, predictions(problem, v - w))
            + lam * (group_norms(v).sum() + group_norms(w).sum()))


def violations(problem, v):
    """(-A_i v^o_i)_+, c x P x n."""
    sides = np.where(problem.patterns, -1.0, 1.0)
    return np.maximum(np.einsum("np,opn->opn", sides, v @ problem.x.T), 0)


def repaired(problem, v, w):
    """Adds the least multiples of the gates that make v and w feasible, to both, so that the
    predictions stay; needs gates without a zero in X g (such rows are left alone)."""
    margins = np.abs(problem.gates @ problem.x.T)
    safe = np.where(margins > 0, margins, np.inf)
    shift = np.maximum((violations(problem, v) / safe).max(axis=-1),
                       (violations(problem, w) / safe).max(axis=-1))
    change = shift[:, :, None] * problem.gates
    return v + change, w + change


def _squared_bound(theta, y, count, limit):
    """The greatest -<s theta, y> - N/2 ||s theta||^2 over 0 <= s <= limit."""
    size = count * np.sum(theta**2)
    s = np.clip(-np.sum(theta * y) / size, 0, limit) if size > 0 else 0.0
    return -s * np.sum(theta * y) - 0.5 * s * s * size


def _entropy_bound(problem, theta, limit):
    """The greatest -f*(s theta) over 0 <= s <= min(1, limit), of a loss of probabilities."""
    def entropy(s):
        if problem.loss == "logistic":
            p = -s * problem.count * problem.y * theta
            terms = scipy.special.xlogy(p, p) + scipy.special.xlogy(1 - p, 1 - p)
        else:
            p = np.maximum(problem.y + s * problem.count * theta, 0)
            terms = scipy.special.xlogy(p, p)
        return -np.sum(terms) / problem.count

    limit = min(limit, 1.0)
    found = scipy.optimize.minimize_scalar(lambda s: -entropy(s), bounds=(0, limit), method="bounded",
                                           options={"xatol": 1e-12})
    return max(entropy(limit), -found.fun)


def _bound(problem, theta, norms, lam):
    """`norms`: for each output the greatest norm that lambda bounds."""
    limits = np.divide(lam, norms, out=np.full(len(norms), np.inf), where=norms > 0)
    if problem.loss == "squared":
        return sum(_squared_bound(theta[:, o], problem.y[:, o], problem.count, limit)
                   for o, limit in enumerate(limits))
    return _entropy_bound(problem, theta, limits.min())


def cone_norms(problem, theta):
    """min_{gamma >= 0} ||s X^T D_i theta^o - A_i^T gamma|| for s = 1 and -1, 2 x c x P."""
    h = adjoint(problem, theta)
    sides = np.where(problem.patterns, 1.0, -1.0)
    norms = np.empty((2,) + h.shape[:2])
    for i in range(h.shape[1]):
        a_transposed = (sides[:, [i]] * problem.x).T
        for o in range(h.shape[0]):
            for index, sign in enumerate((1.0, -1.0)):
                target = sign * h[o, i]
                size = np.linalg.norm(target)
                gamma, _ = scipy.optimize.nnls(a_transposed, target / size if size > 0 else target,
                                               maxiter=100 * a_transposed.shape[1])
                norms[index, o, i] = np.linalg.norm(target - size * (a_transposed @ gamma))
    return norms


def gated_bound(problem, z, lam):
    """A lower bound of the optimum of C-GReLU from predictions z."""
    theta = loss_gradient(problem, z)
    return _bound(problem, theta, group_norms(adjoint(problem, theta)).max(axis=1), lam)


def relu_bound(problem, z, lam):
    """A lower bound of the optimum of C-ReLU from predictions z."""
    theta = loss_gradient(problem, z)
    return _bound(problem, theta, cone_norms(problem, theta).max(axis=(0, 2)), lam)


def lambda_max(problem):
    """The least lambda at which C-GReLU's solution is zero, and that of C-ReLU."""
    theta = loss_gradient(problem, np.zeros_like(problem.y))
    return group_norms(adjoint(problem, theta)).max(), cone_norms(problem, theta).max()
