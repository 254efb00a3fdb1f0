"""Quality of shrunk forests, boosted trees and sums of trees on public data.

Random splits, one third held for testing, stratified for classes; AUC or R2. Forests have full trees,
sqrt(p) features per node for classes and all for numbers; lambda from the rows out of bag. The peer is
scikit-learn's forest on the same splits with an independent implementation of the shrinkage and of the
choice out of bag. The figures in REFERENCE are published ones of the same protocol.

Forests of different random choices differ on every split, by about .04 with 5 trees and .01 with 100. What is
compared is the mean over the splits of the difference to the peer, which is 0 where both are equally good, with
its standard error: it must not be below 0 by more than 3 of them (which chance alone does once in 740
comparisons), and the error must be small enough for a real loss to be seen.
"""

import unittest

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.metrics import log_loss, r2_score, roc_auc_score
from sklearn.model_selection import train_test_split

import peer_driver

# name: classes?, (5 trees plain, shrunk), (100 trees plain, shrunk)
REFERENCE = {
    "heart": (True, (0.849, 0.876), (0.901, 0.903)),
    "breast_cancer_recurrence": (True, (0.644, 0.693), (0.662, 0.694)),
    "haberman": (True, (0.648, 0.702), (0.683, 0.708)),
    "diabetes_pima": (True, (0.763, 0.811), (0.822, 0.829)),
    "red_wine": (False, (0.317, 0.366), (0.448, 0.447)),
    "diabetes_progression": (False, (0.281, 0.378), (0.397, 0.411)),
}


def splits(x, y, classes, count):
    for seed in range(count):
        yield seed, train_test_split(x, y, test_size=1 / 3, random_state=seed,
                                     stratify=y if classes else None)


def score(classes, y, values):
    return roc_auc_score(y, values[:, 1]) if classes else r2_score(y, values[:, 0])


LAMBDAS = (0, 0.1, 1, 10, 25, 50, 100, 200, 500)


def shrink_tree(tree, classes, lam):
    """h by the published formula, [node][output]."""
    mean = tree.value[:, 0, :] if classes else tree.value[:, :, 0]
    value = mean.copy()
    for t in range(tree.node_count):  # parents precede children
        for c in (tree.children_left[t], tree.children_right[t]):
            if c >= 0:
                value[c] = value[t] + (mean[c] - mean[t]) / (1 + lam / tree.weighted_n_node_samples[t])
    return value


def peer_shrunk(forest, classes, train_x, train_y, test_x):
    """The forest's predictions with the lambda of least loss out of bag."""
    rows, count = len(train_x), np.zeros(len(train_x))
    width = forest.n_classes_ if classes else 1
    oob = np.zeros((len(LAMBDAS), rows, width))
    test = np.zeros((len(LAMBDAS), len(test_x), width))
    for estimator in forest.estimators_:
        drawn = np.random.RandomState(estimator.random_state).randint(0, rows, rows)
        outside = np.setdiff1d(np.arange(rows), drawn)
        count[outside] += 1
        own, other = estimator.apply(train_x[outside]), estimator.apply(test_x)
        for j, lam in enumerate(LAMBDAS):
            value = shrink_tree(estimator.tree_, classes, lam)
            oob[j, outside] += value[own]
            test[j] += value[other] / len(forest.estimators_)
    known = count > 0
    losses = []
    for values in oob:
        p = values[known] / count[known, None]
        y = train_y[known]
        losses.append(np.mean(-np.log(np.maximum(p[np.arange(len(p)), y.astype(int)], 1e-15)) if classes
                              else (p[:, 0] - y) ** 2))
    return test[int(np.argmin(losses))]


class ForestQuality(unittest.TestCase):
    # Standard errors of the mean difference that the numbers of splits must reach.
    SPLITS = {5: 40, 100: 30}
    LARGEST_ERROR = {5: 0.011, 100: 0.006}

    def compare(self, name, trees, seed, split):
        """Scores on one split: ours plain and shrunk, the peer's plain and shrunk."""
        classes = REFERENCE[name][0]
        train_x, test_x, train_y, test_y = split
        spec = {"task": "TASK_CLASSIFICATION" if classes else "TASK_REGRESSION", "seed": seed,
                "forest": {"tree_count": trees}, "selection": "SELECTION_OOB",
                "cart": {"max_features": "MAX_FEATURES_SQRT" if classes else "MAX_FEATURES_ALL"}}
        ours = peer_driver.train(train_x, train_y, spec, test_x=test_x)
        peer = RandomForestClassifier if classes else RandomForestRegressor
        model = peer(n_estimators=trees, random_state=seed,
                     max_features="sqrt" if classes else 1.0).fit(train_x, train_y)
        plain = model.predict_proba(test_x) if classes else model.predict(test_x).reshape(-1, 1)
        shrunk = peer_shrunk(model, classes, train_x, train_y, test_x)
        return [score(classes, test_y, v) for v in (ours["plain"], ours["shrunk"], plain, shrunk)]

    def check(self, name):
        data = peer_driver.find_data(name)
        if data is None:
            self.skipTest(f"{name} is not at hand")
        classes, *references = REFERENCE[name]
        for (trees, count), reference in zip(self.SPLITS.items(), references):
            scores = np.array([self.compare(name, trees, seed, split)
                               for seed, split in splits(*data, classes, count)])
            mean = scores.mean(axis=0)
            for kind, i in (("plain", 0), ("shrunk", 1)):
                difference = scores[:, i] - scores[:, 2 + i]
                error = difference.std(ddof=1) / np.sqrt(count)
                print(f"{name}, {trees} trees, {kind}: {mean[i]:.3f}, peer {mean[2 + i]:.3f} (reference "
                      f"{reference[i]:.3f}), difference {difference.mean():+.4f} +- {error:.4f}")
                with self.subTest(trees=trees, kind=kind):
                    self.assertGreater(difference.mean(), -3 * error)
                    self.assertLess(error, self.LARGEST_ERROR[trees])
            self.assertGreater(mean[1], mean[0] - 0.01)


for _name in REFERENCE:
    setattr(ForestQuality, f"test_{_name}", lambda self, name=_name: self.check(name))


class BoostingQuality(unittest.TestCase):
    """100 trees of depth 3: log loss or R2 without shrinkage, post hoc and in the loop."""

    # Published figures: none, post hoc with Newton steps everywhere, in the loop.
    REFERENCE = {"heart": (0.464, 0.410, 0.398), "breast_cancer_recurrence": (0.696, 0.568, 0.573),
                 "diabetes_pima": (0.513, 0.491, 0.486),
                 "diabetes_progression": (0.321, 0.348, 0.389), "red_wine": (0.362, 0.370, 0.366)}

    def test_shrinkage_helps(self):
        for name, reference in self.REFERENCE.items():
            x, y = peer_driver.find_data(name)
            classes = REFERENCE[name][0]
            rows = []
            for seed, (train_x, test_x, train_y, test_y) in splits(x, y, classes, 5):
                row = []
                for mode in ("POST_HOC", "IN_LOOP"):
                    spec = {"task": "TASK_CLASSIFICATION" if classes else "TASK_REGRESSION",
                            "seed": seed,
                            "boosting": {"rounds": 100, "max_depth": 3, "max_leaves": 8,
                                         "min_samples_leaf": 1,
                                         "shrinkage_mode": f"SHRINKAGE_MODE_{mode}"}}
                    ours = peer_driver.train(train_x, train_y, spec, test_x=test_x)
                    for kind in ("plain", "shrunk"):
                        values = ours[kind]
                        row.append(log_loss(test_y, values[:, 1]) if classes
                                   else r2_score(test_y, values[:, 0]))
                rows.append([row[0], row[1], row[3]])
            none, post_hoc, in_loop = np.mean(rows, axis=0)
            print(f"{name}: none {none:.3f} post hoc {post_hoc:.3f} in loop {in_loop:.3f} "
                  f"(reference {reference})")
            sign = 1 if classes else -1
            self.assertLess(sign * post_hoc, sign * none + 0.01, name)
            self.assertLess(sign * in_loop, sign * none + 0.01, name)


class FigsPeer(unittest.TestCase):
    """Predictions of imodels' FIGS on data without ties."""

    def test_agrees_with_imodels(self):
        try:
            from imodels import FIGSRegressor
        except ImportError:
            self.skipTest("imodels is not installed")
        random = np.random.default_rng(1)
        for rules in (3, 7, 12):
            x = random.normal(size=(300, 5)).astype(np.float32).astype(float)
            y = (x[:, 0] > 0) * 3 + (x[:, 1] > 0.3) * 2 * x[:, 2] + random.normal(size=300) * 0.2
            theirs = FIGSRegressor(max_rules=rules).fit(x, y)
            ours = peer_driver.train(x, y, {"task": "TASK_REGRESSION", "lambda": 0,
                                            "figs": {"max_splits": rules}}, test_x=x)
            np.testing.assert_allclose(ours["plain"][:, 0], theirs.predict(x), atol=1e-6)


if __name__ == "__main__":
    unittest.main()
