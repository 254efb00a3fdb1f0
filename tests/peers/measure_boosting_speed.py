"""CPU and wall seconds of histogram boosting beside LightGBM, XGBoost and scikit-learn on Friedman's first
function: 100 000 rows, 20 features, 100 rounds, 31 leaves, 255 bins, binning included. Arguments: threads,
repetitions (the least time counts), losses (all). Every contestant runs once per repetition, in turn."""

import os
import sys
import time

THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else 1
os.environ["OMP_NUM_THREADS"] = str(THREADS)

import lightgbm
import numpy as np
import xgboost
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from test_boosting_peer import LIGHTGBM, XGBOOST, boost

LOSSES = ["LOSS_SQUARED_ERROR", "LOSS_LOGISTIC", "LOSS_POISSON", "LOSS_ABSOLUTE_ERROR"]
SKLEARN = {"LOSS_SQUARED_ERROR": "squared_error", "LOSS_POISSON": "poisson",
           "LOSS_ABSOLUTE_ERROR": "absolute_error"}


def friedman1(rows=100_000):
    random = np.random.default_rng(1)
    x = random.random((rows, 20), dtype=np.float32).astype(float)
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    return x, y + random.normal(size=rows)


def ours(loss, x, y):
    result = boost(x, y, x[:1], {"loss": loss}, THREADS)
    return result["cpu_seconds"], result["wall_seconds"]


def timed(fit):
    def run(loss, x, y):
        cpu, wall = time.process_time(), time.perf_counter()
        fit(loss, x, y)
        return time.process_time() - cpu, time.perf_counter() - wall
    return run


@timed
def fit_lightgbm(loss, x, y):
    lightgbm.train({"objective": LIGHTGBM[loss], "num_leaves": 31, "learning_rate": 0.1, "max_bin": 255,
                    "min_data_in_leaf": 20, "num_threads": THREADS, "verbose": -1},
                   lightgbm.Dataset(x, y), 100)


@timed
def fit_xgboost(loss, x, y):
    xgboost.train({"objective": XGBOOST[loss], "tree_method": "hist", "grow_policy": "lossguide",
                   "max_leaves": 31, "max_depth": 0, "eta": 0.1, "max_bin": 255, "reg_lambda": 0,
                   "nthread": THREADS}, xgboost.DMatrix(x, y, nthread=THREADS), 100)


@timed
def fit_sklearn(loss, x, y):
    model = HistGradientBoostingClassifier if loss == "LOSS_LOGISTIC" else HistGradientBoostingRegressor
    options = {} if loss == "LOSS_LOGISTIC" else {"loss": SKLEARN[loss]}
    model(max_iter=100, max_leaf_nodes=31, early_stopping=False, **options).fit(x, y)


def main():
    x, y = friedman1()
    contestants = {"ours": ours, "LightGBM": fit_lightgbm, "XGBoost": fit_xgboost,
                   "scikit-learn": fit_sklearn}
    print(f"threads: {THREADS}; CPU s (wall s)")
    for loss in sys.argv[3:] or LOSSES:
        target = (y > 14.4).astype(float) if loss == "LOSS_LOGISTIC" else (
            np.maximum(np.round(y), 0) if loss == "LOSS_POISSON" else y)
        best = {}
        for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 3):
            for name, run in contestants.items():
                cpu, wall = run(loss, x, target)
                least = best.get(name, (cpu, wall))
                best[name] = (min(least[0], cpu), min(least[1], wall))
        print(loss, "  ".join(f"{name} {cpu:.2f} ({wall:.2f})" for name, (cpu, wall) in best.items()),
              flush=True)


if __name__ == "__main__":
    main()
