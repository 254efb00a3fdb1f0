"""SHAP values and interactions against the package shap, on forests of scikit-learn."""

import json
import pathlib
import subprocess
import tempfile
import time
import unittest

import numpy as np
import shap
from sklearn.ensemble import RandomForestRegressor

import peer_driver


def make_forest(trees, depth, rows=5000, features=8, seed=0):
    """A forest and rows that are exact in 32 bits, as scikit-learn and shap read them."""
    random = np.random.default_rng(seed)
    x = random.uniform(size=(rows, features)).astype(np.float32).astype(np.float64)
    y = (10 * np.sin(3 * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3]
         + 5 * x[:, 4] * x[:, 5] + random.normal(size=rows))
    forest = RandomForestRegressor(trees, max_depth=depth, random_state=seed).fit(x, y)
    return forest, x


def explain(forest, rows, method, background=None):
    """The driver's document, values as an array of one row per row."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        nodes = np.vstack([
            np.column_stack([np.full(e.tree_.node_count, i), e.tree_.children_left,
                             e.tree_.children_right, e.tree_.feature, e.tree_.threshold,
                             e.tree_.weighted_n_node_samples, e.tree_.value[:, 0, 0]])
            for i, e in enumerate(forest.estimators_)])
        np.savetxt(folder / "forest.csv", nodes, delimiter=",", fmt="%.17g", comments="",
                   header="tree,left,right,feature,threshold,weight,value")
        names = ",".join(f"x{i}" for i in range(rows.shape[1]))
        files = [folder / "rows.csv"] + ([folder / "background.csv"] if background is not None else [])
        for file, table in zip(files, (rows, background)):
            np.savetxt(file, table, delimiter=",", fmt="%.17g", comments="", header=names)
        command = [peer_driver.DRIVERS / "explain_peer_driver", folder / "forest.csv", files[0],
                   method, *files[1:]]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    result = json.loads(done.stdout)
    result["values"] = np.array(result["values"]).reshape(len(rows), -1)
    return result


class ExplainPeerTest(unittest.TestCase):
    def test_path_dependent(self):
        for trees, depth in ((20, 8), (5, None), (10, 3)):
            forest, x = make_forest(trees, depth)
            peer = shap.TreeExplainer(forest, feature_perturbation="tree_path_dependent")
            ours = explain(forest, x[:100], "shap")
            np.testing.assert_allclose(ours["base"], peer.expected_value, rtol=1e-6)
            np.testing.assert_allclose(ours["values"], peer.shap_values(x[:100]), atol=1e-5)

    def test_interventional(self):
        forest, x = make_forest(20, 8)
        peer = shap.TreeExplainer(forest, x[200:300], feature_perturbation="interventional")
        ours = explain(forest, x[:50], "interventional", x[200:300])
        np.testing.assert_allclose(ours["base"], peer.expected_value, rtol=1e-6)
        np.testing.assert_allclose(ours["values"], peer.shap_values(x[:50]), atol=1e-5)

    def test_interactions(self):
        forest, x = make_forest(10, 6)
        peer = shap.TreeExplainer(forest, feature_perturbation="tree_path_dependent")
        theirs = peer.shap_interaction_values(x[:30]).reshape(30, -1)
        ours = explain(forest, x[:30], "interactions")
        np.testing.assert_allclose(ours["values"], theirs, atol=1e-5)

    def test_speed(self):
        """CPU seconds on one thread, beside the package's C extension."""
        forest, x = make_forest(100, 8, rows=20640)
        nodes = sum(e.tree_.node_count for e in forest.estimators_)
        for method, rows, peer_rows in (("shap", 4000, 200), ("interventional", 200, 50),
                                        ("interactions", 400, 20)):
            background = x[-100:] if method == "interventional" else None
            peer = shap.TreeExplainer(
                forest, background, feature_perturbation="interventional" if background is not None
                else "tree_path_dependent")
            values = (peer.shap_interaction_values if method == "interactions" else
                      lambda part: peer.shap_values(part, check_additivity=False))
            start = time.process_time()
            values(x[:peer_rows])
            theirs = (time.process_time() - start) / peer_rows
            ours = explain(forest, x[:rows], method, background)["seconds"] / rows
            print(f"{method}, {nodes} nodes: shap {theirs * 1e3:.3f} ms per row, "
                  f"ours {ours * 1e3:.4f} ms, ratio {theirs / ours:.0f}")
            self.assertGreater(theirs / ours, 8 if method != "interventional" else 1)


if __name__ == "__main__":
    unittest.main()
