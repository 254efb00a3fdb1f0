"""Quality of plain and shrunk trees on public data, beside scikit-learn's on the same splits.

10 random splits (5 for more than 10,000 rows), one third held for testing, stratified for classes;
lambda by 3-fold cross-validation inside the training part; mean over the splits of AUC or R2. The
peer is scikit-learn's tree with an independent implementation of the shrinkage. Printed beside them
are published reference figures, made by the same protocol with other splits.
"""

import unittest

import numpy as np
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import peer_driver

# name: classes?, (30 leaves plain, shrunk), (full plain, shrunk)
REFERENCE = {
    "heart": (True, (0.736, 0.826), (0.741, 0.824)),
    "breast_cancer_recurrence": (True, (0.591, 0.643), (0.595, 0.650)),
    "haberman": (True, (0.533, 0.665), (0.566, 0.673)),
    "diabetes_pima": (True, (0.713, 0.792), (0.667, 0.798)),
    "german_credit": (True, (0.718, 0.746), (0.628, 0.757)),
    "red_wine": (False, (0.232, 0.307), (-0.064, 0.321)),
    "diabetes_progression": (False, (0.099, 0.328), (-0.153, 0.321)),
    "california_housing": (False, (0.629, 0.630), (0.599, 0.733)),
}


LAMBDAS = (0, 0.1, 1, 10, 25, 50, 100, 200, 500)


def fit_peer(x, y, classes, leaves, seed):
    kind = DecisionTreeClassifier if classes else DecisionTreeRegressor
    return kind(max_leaf_nodes=leaves or None, random_state=seed).fit(x, y)


def peer_values(model, classes, lam, x):
    """Predictions of a scikit-learn tree after shrinkage."""
    tree = model.tree_
    mean = tree.value[:, 0, :] if classes else tree.value[:, :, 0]
    if classes:
        mean = mean / mean.sum(axis=1, keepdims=True)
    value = mean.copy()
    stack = [0]
    while stack:
        t = stack.pop()
        for c in (tree.children_left[t], tree.children_right[t]):
            if c >= 0:
                value[c] = value[t] + (mean[c] - mean[t]) / (
                    1 + lam / tree.weighted_n_node_samples[t])
                stack.append(c)
    return value[model.apply(x)]


def peer_lambda(x, y, classes, leaves, seed):
    folds = (StratifiedKFold if classes else KFold)(3, shuffle=True, random_state=seed)
    losses = np.zeros(len(LAMBDAS))
    for inside, outside in folds.split(x, y):
        model = fit_peer(x[inside], y[inside], classes, leaves, seed)
        for j, lam in enumerate(LAMBDAS):
            p = peer_values(model, classes, lam, x[outside])
            if classes:
                own = p[np.arange(len(p)), y[outside].astype(int)]
                losses[j] -= np.mean(np.log(np.maximum(own, 1e-15)))
            else:
                losses[j] += np.mean((p[:, 0] - y[outside]) ** 2)
    return LAMBDAS[int(np.argmin(losses))]


def measure(x, y, classes, leaves, splits):
    """Mean quality over the splits: plain and shrunk, ours and the peer's; and the standard error that
    the choice among equal splits leaves in the difference of two plain means."""
    quality = []
    ties = []
    for seed in range(splits):
        train_x, test_x, train_y, test_y = train_test_split(
            x, y, test_size=1 / 3, random_state=seed, stratify=y if classes else None)
        spec = {
            "task": "TASK_CLASSIFICATION" if classes else "TASK_REGRESSION",
            "cart": {"max_leaf_nodes": leaves},
            "seed": seed,
        }
        ours = peer_driver.train(train_x, train_y, spec, test_x=test_x)
        # Equal splits are decided at random there, so its plain trees vary; hence the mean.
        peers = [fit_peer(train_x, train_y, classes, leaves, seed + 100 * i)
                 for i in range(5 if len(x) < 2000 else 1)]
        lam = peer_lambda(train_x, train_y, classes, leaves, seed)
        score = (lambda p: roc_auc_score(test_y, p[:, 1])) if classes else (
            lambda p: r2_score(test_y, p[:, 0]))
        plain = [score(peer_values(p, classes, 0, test_x)) for p in peers]
        ties.append(np.var(plain, ddof=1) if len(plain) > 1 else 0)
        quality.append([score(ours["plain"]), score(ours["shrunk"]),
                        np.mean(plain),
                        np.mean([score(peer_values(p, classes, lam, test_x)) for p in peers])])
    return *np.mean(quality, axis=0), np.sqrt(2 * np.mean(ties) / splits)


class ShrinkageQualityTest(unittest.TestCase):
    def test_same_quality_as_the_peer(self):
        print("\ndata                       leaves  plain: ours  peer  published"
              "  shrunk: ours  peer  published")
        for name, (classes, *published) in REFERENCE.items():
            data = peer_driver.find_data(name)
            if data is None:
                continue
            splits = 5 if len(data[0]) > 10_000 else 10
            for leaves, figures in zip((30, 0), published):
                with self.subTest(data=name, leaves=leaves or "full"):
                    plain, shrunk, peer_plain, peer_shrunk, tie_error = measure(*data, classes, leaves,
                                                                                splits)
                    print(f"{name:26} {leaves or 'full':>6}"
                          f"  {plain:11.3f} {peer_plain:5.3f} {figures[0]:10.3f}"
                          f"  {shrunk:12.3f} {peer_shrunk:5.3f} {figures[1]:10.3f}")
                    self.assertAlmostEqual(plain, peer_plain, delta=0.02)
                    self.assertAlmostEqual(shrunk, peer_shrunk, delta=0.02)
                    # Equal splits, of which full trees have many, are decided at random there: the figure of
                    # a plain tree has an error of its own, from one draw of ties on each split.
                    self.assertAlmostEqual(shrunk, figures[1], delta=0.02)
                    self.assertAlmostEqual(plain, figures[0], delta=max(0.02, 3 * tie_error))


if __name__ == "__main__":
    unittest.main()
