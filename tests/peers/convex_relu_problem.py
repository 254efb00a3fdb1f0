"""Problems of convex two-layer ReLU networks: data, gates and the text files that hold them.

X is n x d with the bias as last column, Y is n x c, gates G is P x d (one gate a row). Patterns D are
n x P, D = 1[X G^T > 0]. N is n c, of the softmax n.
"""

import dataclasses

import numpy as np

LOSSES = ("squared", "logistic", "softmax")


@dataclasses.dataclass
class Problem:
    x: np.ndarray
    y: np.ndarray  # squared: numbers; logistic: -1 and 1, softmax: one-hot rows
    gates: np.ndarray
    loss: str = "squared"
    count: int = 0  # N, by default what the loss says

    def __post_init__(self):
        if self.count == 0:
            n, c = self.y.shape
            self.count = n if self.loss == "softmax" else n * c

    @property
    def patterns(self):
        return self.x @ self.gates.T > 0

    def outputs(self):
        """The problems of one output each into which a squared loss separates; their values add up."""
        if self.loss != "squared":
            return [self]
        return [dataclasses.replace(self, y=self.y[:, [o]]) for o in range(self.y.shape[1])]


def scaled(features):
    """Appends the column of ones, then divides every column by its 2-norm. Also the norms."""
    x = np.hstack([features, np.ones((len(features), 1))])
    norms = np.linalg.norm(x, axis=0)
    norms[norms == 0] = 1
    return x / norms, norms


def distinct_gates(x, candidates):
    """The gates (rows) that are the first of their pattern, without those of the empty pattern."""
    patterns = x @ candidates.T > 0
    kept, seen = [], set()
    for index in range(len(candidates)):
        key = np.packbits(patterns[:, index]).tobytes()
        if patterns[:, index].any() and key not in seen:
            seen.add(key)
            kept.append(index)
    return candidates[kept]


def gaussian_gates(x, samples, seed, bias=False):
    """Gates N(0, I) in the space of x, their last coordinate 0 unless `bias`; distinct patterns."""
    gates = np.random.default_rng(seed).standard_normal((samples, x.shape[1]))
    if not bias:
        gates[:, -1] = 0
    return distinct_gates(x, gates)


def signs(labels):
    """Labels 0 and 1 as a column of -1 and 1."""
    return np.where(np.asarray(labels) > 0, 1.0, -1.0)[:, None]


def one_hot(labels):
    labels = np.asarray(labels, dtype=int)
    return np.eye(labels.max() + 1)[labels]


def write_text(file, problem, cases, comments=()):
    """The format of tests/data/convex_relu (its README): whitespace-separated, 17 digits. `cases`
    are rows of numbers, the first of which is lambda."""
    with open(file, "w", encoding="ascii") as out:
        for name, value in (("loss", problem.loss), ("rows", problem.x.shape[0]),
                            ("features", problem.x.shape[1]), ("outputs", problem.y.shape[1]),
                            ("patterns", problem.gates.shape[0]), ("cases", len(cases))):
            out.write(f"{name} {value}\n")
        for name, matrix in (("x", problem.x), ("y", problem.y), ("gates", problem.gates),
                             ("optima", cases)):
            out.write(f"{name}\n")
            for row in matrix:
                out.write(" ".join(f"{value:.17g}" for value in row) + "\n")
        for comment in comments:
            out.write(f"# {comment}\n")


def read_text(file):
    """The problem of such a file and its cases as an array."""
    with open(file, encoding="ascii") as lines:
        words = iter(" ".join(line for line in lines if not line.startswith("#")).split())

    def named(name):
        found = next(words)
        if found != name:
            raise ValueError(f"{file}: '{name}' expected, found '{found}'")
        return next(words)

    def matrix(name, rows, columns):
        found = next(words)
        if found != name:
            raise ValueError(f"{file}: '{name}' expected, found '{found}'")
        return np.array([float(next(words)) for _ in range(rows * columns)]).reshape(rows, columns)

    loss = named("loss")
    n, d, c, p, cases = (int(named(name)) for name in ("rows", "features", "outputs", "patterns", "cases"))
    problem = Problem(matrix("x", n, d), matrix("y", n, c), matrix("gates", p, d), loss)
    return problem, matrix("optima", cases, 5)
