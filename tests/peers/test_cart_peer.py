"""CART and hierarchical shrinkage against scikit-learn's trees."""

import unittest

import numpy as np
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import peer_driver


def make_set(seed, kind, rows=400, features=5, weighted=False):
    """Continuous features, exact in 32 bits as scikit-learn stores them, and a noisy target."""
    random = np.random.default_rng(seed)
    x = random.uniform(size=(rows, features)).astype(np.float32).astype(np.float64)
    signal = 3 * np.sin(5 * x[:, 0]) + 4 * x[:, 1] * x[:, 2] + random.normal(size=rows)
    weights = random.uniform(0.2, 3, size=rows) if weighted else None
    if weighted:
        weights /= weights.mean()
    if kind == "regression":
        y = signal
    elif kind == "counts":
        y = random.poisson(np.exp(0.3 * signal)).astype(float)
    elif kind == "outputs":
        y = np.column_stack([signal, x[:, 3] * 5 + random.normal(size=rows)])
    else:
        y = np.digitize(signal, np.quantile(signal, [0.35, 0.7])) if kind == "three" else (
            signal > np.median(signal)).astype(int)
    return x, y, weights


def shrink(tree, mean, lam):
    """h by the published formula, from scikit-learn's arrays."""
    value = mean.copy()
    stack = [0]
    while stack:
        t = stack.pop()
        for c in (tree.children_left[t], tree.children_right[t]):
            if c >= 0:
                n = tree.weighted_n_node_samples[t]
                value[c] = value[t] + (mean[c] - mean[t]) / (1 + lam / n)
                stack.append(c)
    return value


def decrease(nodes, t):
    """What the split of one of our nodes gains."""
    total = nodes[t]["weight"] * nodes[t]["impurity"]
    for side in ("left", "right"):
        child = nodes[nodes[t][side]]
        total -= child["weight"] * child["impurity"]
    return total


def peer_decrease(tree, t):
    """The same for scikit-learn's node."""
    total = tree.weighted_n_node_samples[t] * tree.impurity[t]
    for c in (tree.children_left[t], tree.children_right[t]):
        total -= tree.weighted_n_node_samples[c] * tree.impurity[c]
    return total


class CartPeerTest(unittest.TestCase):
    """Two splits of a node can gain the same, above all with classes and in nodes of few rows;
    scikit-learn then takes one at random, Trainyard the lowest feature. Where both took different
    splits their gains must be equal, and the nodes below are not compared."""

    def fit(self, seed, kind, weighted, lam, options):
        x, y, weights = make_set(seed, kind, weighted=weighted)
        classes = kind in ("two", "three")
        peer_class = DecisionTreeClassifier if classes else DecisionTreeRegressor
        peer = peer_class(random_state=0, **options)
        peer.fit(x, y, sample_weight=weights)
        mean = peer.tree_.value[:, 0, :] if classes else peer.tree_.value[:, :, 0]
        if classes:
            mean = mean / mean.sum(axis=1, keepdims=True)
        cart = dict(options)
        cart["criterion"] = f"CRITERION_{peer.criterion.upper()}"
        spec = {
            "task": "TASK_CLASSIFICATION" if classes else "TASK_REGRESSION",
            "cart": cart,
            "lambda": lam,
        }
        ours = peer_driver.train(x, y, spec, weights)["tree"]["nodes"]
        return ours, peer.tree_, mean, shrink(peer.tree_, mean, lam)

    def compare(self, seed, kind, weighted, lam, **options):
        """The numbers of nodes that are equal and of nodes that tie."""
        ours, tree, mean, value = self.fit(seed, kind, weighted, lam, options)
        equal = ties = 0
        pairs = [(0, 0)]
        while pairs:
            a, b = pairs.pop()
            node = ours[a]
            np.testing.assert_allclose(node["weight"], tree.weighted_n_node_samples[b], rtol=1e-9)
            self.assertEqual(node["row_count"], tree.n_node_samples[b])
            np.testing.assert_allclose(node["impurity"], tree.impurity[b], rtol=1e-7, atol=1e-9)
            np.testing.assert_allclose(node["mean"], mean[b], rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(node["value"], value[b], rtol=1e-9, atol=1e-12)
            if "feature" not in node or tree.children_left[b] < 0:
                if ("feature" in node) != (tree.children_left[b] >= 0):
                    # One is split: rounding made a pure node look impure, or the leaves ran out at
                    # another place after a tie.
                    self.assertTrue(tree.impurity[b] < 1e-12 or "max_leaf_nodes" in options)
                    ties += 1
                else:
                    equal += 1
                continue
            if (node["feature"] != f"x{tree.feature[b]}" or
                    abs(node["threshold"] - tree.threshold[b]) > 1e-12):
                np.testing.assert_allclose(decrease(ours, a), peer_decrease(tree, b),
                                           rtol=1e-9, atol=1e-9)
                ties += 1
                continue
            equal += 1
            pairs.append((node["left"], tree.children_left[b]))
            pairs.append((node["right"], tree.children_right[b]))
        if ties == 0:
            self.assertEqual(len(ours), tree.node_count)
        return equal, ties

    def compare_all(self, kinds, least_equal_share, **options):
        equal = ties = 0
        for seed in range(4):
            for kind in kinds:
                for weighted in (False, True):
                    with self.subTest(seed=seed, kind=kind, weighted=weighted, **options):
                        one = self.compare(seed, kind, weighted, lam=12.5, **options)
                        equal += one[0]
                        ties += one[1]
        print(f"{'/'.join(kinds)} {options}: {equal} nodes equal, {ties} tie")
        self.assertGreaterEqual(equal / max(equal + ties, 1), least_equal_share)

    def test_regression_without_ties(self):
        kinds = ("regression", "outputs")
        self.compare_all(kinds, 1, min_samples_leaf=6)
        self.compare_all(kinds, 1, max_leaf_nodes=25, min_samples_leaf=6)
        self.compare_all(kinds, 1, max_depth=4, min_samples_leaf=6)
        self.compare_all(kinds, 1, min_samples_split=30, min_samples_leaf=6)
        self.compare_all(kinds, 1, min_weight_fraction_leaf=0.03)
        self.compare_all(kinds, 1, min_impurity_decrease=0.01, min_samples_leaf=6)

    def test_poisson(self):
        # Counts take few values, so that splits of small nodes often gain the same.
        self.compare_all(("counts",), 0.8, criterion="poisson", min_samples_leaf=12)

    def test_cost_complexity(self):
        kinds = ("regression", "outputs")
        for alpha in (0.005, 0.02, 0.1):
            self.compare_all(kinds, 1, min_samples_leaf=6, ccp_alpha=alpha)

    def test_full_regression(self):
        # Most of the nodes hold two or three rows, which several features divide alike.
        self.compare_all(("regression", "outputs"), 0.6)

    def test_classes(self):
        for criterion in ("gini", "entropy"):
            self.compare_all(("two", "three"), 0.8, criterion=criterion, min_samples_leaf=6)
            self.compare_all(("two", "three"), 0.8, criterion=criterion, max_depth=5)
            self.compare_all(("two", "three"), 0.8, criterion=criterion, max_leaf_nodes=12,
                             min_samples_leaf=6)


if __name__ == "__main__":
    unittest.main()
