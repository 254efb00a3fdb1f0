"""CPU seconds of scikit-learn's forests on the data of forest_benchmark, over two threads, and its rows a second and
core in prediction, as PredictForest of trees_benchmark.

    python tests/peers/forest_times.py            # friedman1, and credit with TRAINYARD_PEER_DATA
    python tests/peers/forest_times.py predict 100    # prediction alone, by so many trees
"""

import resource
import sys
import time

import numpy as np
from sklearn.ensemble import (ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier,
                              RandomForestRegressor)

import peer_driver


def friedman1(rows=100_000, features=20):
    random = np.random.default_rng(1)
    x = random.uniform(size=(rows, features)).astype(np.float32)
    y = (10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] +
         5 * x[:, 4] + random.normal(size=rows))
    return x, y


def measure(name, model, x, y):
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.monotonic()
    model.fit(x, y)
    after = resource.getrusage(resource.RUSAGE_SELF)
    leaves = sum(tree.get_n_leaves() for tree in model.estimators_)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{name}: {cpu:.2f} CPU s, {time.monotonic() - start:.2f} s, {leaves} leaves", flush=True)


def measure_prediction(trees):
    x, y = friedman1()
    model = RandomForestRegressor(n_estimators=trees, n_jobs=2, random_state=1).fit(x, y)
    model.n_jobs = 1
    start = time.process_time()
    model.predict(x)
    seconds = time.process_time() - start
    nodes = sum(tree.tree_.node_count for tree in model.estimators_)
    print(f"PredictForest/trees:{trees}: {len(x) / seconds:.0f} rows/s a core, {nodes} nodes", flush=True)


def main():
    if sys.argv[1:2] == ["predict"]:
        return measure_prediction(int(sys.argv[2]) if len(sys.argv) > 2 else 10)
    shared = {"n_estimators": 100, "n_jobs": 2, "random_state": 1}
    credit = peer_driver.find_data("credit_card")
    if credit is not None:
        x, y = credit[0][:20_000].astype(np.float32), credit[1][:20_000]
        measure("RandomForestOfCredit", RandomForestClassifier(**shared), x, y)
        measure("ExtraTreesOfCredit", ExtraTreesClassifier(**shared), x, y)
    x, y = friedman1()
    measure("ExtraTreesOfFriedman1", ExtraTreesRegressor(max_features=6, **shared), x, y)
    measure("RandomForestOfFriedman1", RandomForestRegressor(max_features=6, **shared), x, y)
    measure_prediction(10)


if __name__ == "__main__":
    main()
