"""Quality of shrunk forests, boosted trees and sums of trees on public data, with reference figures.

10 random splits, one third held for testing, stratified for classes; mean over the splits of AUC or
R2. Forests have full trees, sqrt(p) features per node for classes and all for numbers; lambda from
the rows out of bag. The figures in REFERENCE were published for the same protocol with other splits,
from scikit-learn's forests with an independent implementation of the shrinkage; the peer column is
scikit-learn's plain forest on our splits.
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


class ForestQuality(unittest.TestCase):
    def check(self, name):
        data = peer_driver.find_data(name)
        if data is None:
            self.skipTest(f"{name} is not at hand")
        x, y = data
        classes, *references = REFERENCE[name]
        task = "TASK_CLASSIFICATION" if classes else "TASK_REGRESSION"
        peer = RandomForestClassifier if classes else RandomForestRegressor
        # The mean over 10 splits of a small forest still varies by about 0.01.
        for trees, reference, tolerance in zip((5, 100), references, (0.04, 0.015)):
            rows = []
            for seed, (train_x, test_x, train_y, test_y) in splits(x, y, classes, 10):
                spec = {"task": task, "seed": seed, "forest": {"tree_count": trees},
                        "selection": "SELECTION_OOB",
                        "cart": {"max_features":
                                 "MAX_FEATURES_SQRT" if classes else "MAX_FEATURES_ALL"}}
                ours = peer_driver.train(train_x, train_y, spec, test_x=test_x)
                model = peer(n_estimators=trees, random_state=seed,
                             max_features="sqrt" if classes else 1.0).fit(train_x, train_y)
                values = (model.predict_proba(test_x) if classes
                          else model.predict(test_x).reshape(-1, 1))
                rows.append([score(classes, test_y, ours["plain"]),
                             score(classes, test_y, ours["shrunk"]),
                             score(classes, test_y, values)])
            plain, shrunk, peer_plain = np.mean(rows, axis=0)
            print(f"{name}, {trees} trees: plain {plain:.3f} ({peer_plain:.3f} scikit-learn, "
                  f"{reference[0]:.3f} reference), shrunk {shrunk:.3f} ({reference[1]:.3f})")
            self.assertGreater(plain, peer_plain - tolerance)
            self.assertGreater(shrunk, reference[1] - tolerance)
            self.assertGreater(shrunk, plain - 0.01)


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
