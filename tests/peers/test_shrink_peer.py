"""The shrinkage of scikit-learn's forests beside imodels', all schemes: equal values, and CPU time."""

import json
import pathlib
import subprocess
import tempfile
import time
import unittest

import numpy as np
import peer_driver

try:
    from imodels import HSTreeClassifier, HSTreeRegressor
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
except ImportError as error:
    raise unittest.SkipTest(f"needs the packages of requirements.txt: {error}")

SCHEMES = {"SCHEME_HIERARCHICAL": "node_based", "SCHEME_LEAF_BASED": "leaf_based",
           "SCHEME_CONSTANT": "constant"}


def node_values(forest, classes):
    """[node][output], tree after tree."""
    parts = [e.tree_.value[:, 0, :] if classes else e.tree_.value[:, :, 0] for e in forest.estimators_]
    return np.vstack(parts)


def ours(forest, classes, scheme, lam, rounds=5):
    """The driver's document; `values` is [node][output]."""
    values = node_values(forest, classes)
    lines = []
    for number, estimator in enumerate(forest.estimators_):
        t = estimator.tree_
        lines.append(np.column_stack([np.full(t.node_count, number), t.children_left, t.children_right,
                                      t.feature, t.threshold, t.weighted_n_node_samples]))
    names = ["tree", "left", "right", "feature", "threshold", "weight"]
    names += [f"value{k}" for k in range(values.shape[1])]
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "forest.csv"
        np.savetxt(file, np.hstack([np.vstack(lines), values]), delimiter=",", header=",".join(names),
                   comments="", fmt="%.17g")
        done = subprocess.run([peer_driver.DRIVERS / "shrink_peer_driver", file, scheme, str(lam),
                               str(rounds)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
    result = json.loads(done.stdout)
    result["values"] = np.array(result["values"]).reshape(values.shape)
    return result


def make_forest(trees, rows, classes):
    random = np.random.default_rng(1)
    x = random.uniform(size=(rows, 20))
    y = (10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4] +
         random.normal(size=rows))
    if classes:
        y = np.digitize(y, np.quantile(y, [0.3, 0.7]))
    kind = RandomForestClassifier if classes else RandomForestRegressor
    return kind(trees, max_features=6, random_state=1).fit(x, y)


def shrink_theirs(forest, classes, scheme, lam):
    """Shrinks the forest in place; its CPU seconds."""
    kind = HSTreeClassifier if classes else HSTreeRegressor
    start = time.process_time()
    kind(forest, reg_param=lam, shrinkage_scheme_=SCHEMES[scheme])  # a fitted one is shrunk at once
    return time.process_time() - start


class ShrinkPeerTest(unittest.TestCase):
    def test_values_are_those_of_imodels(self):
        for classes in (False, True):
            for scheme in SCHEMES:
                for lam in (0, 0.1, 25, 500):
                    forest = make_forest(3, 1000, classes)
                    plain = node_values(forest, classes).copy()
                    values = ours(forest, classes, scheme, lam)["values"]
                    shrink_theirs(forest, classes, scheme, lam)
                    with self.subTest(classes=classes, scheme=scheme, lam=lam):
                        if lam > 0:
                            self.assertGreater(np.abs(node_values(forest, classes) - plain).max(), 1e-3)
                        np.testing.assert_allclose(values, node_values(forest, classes), rtol=1e-12,
                                                   atol=1e-12)

    def test_is_fifty_times_faster(self):
        for classes in (False, True):
            forest = make_forest(10, 20_000, classes)
            nodes = sum(e.tree_.node_count for e in forest.estimators_)
            own = ours(forest, classes, "SCHEME_HIERARCHICAL", 25)["seconds"]
            theirs = shrink_theirs(forest, classes, "SCHEME_HIERARCHICAL", 25)
            print(f"\n{nodes} nodes{', three classes' if classes else ''}: {own * 1e3:.2f} ms, imodels "
                  f"{theirs * 1e3:.0f} ms, {theirs / own:.0f} times faster, "
                  f"{own / nodes * 1e9:.1f} ns and {theirs / nodes * 1e6:.2f} us a node")
            self.assertGreater(theirs / own, 50)


if __name__ == "__main__":
    unittest.main()
