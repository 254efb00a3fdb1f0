"""Times optimal trees beside other exact solvers for continuous features.

    python tests/peers/measure_optimal_trees.py FOLDER [--set magic:2 ...] [--limit SECONDS] [--runs N]

FOLDER holds CSV files whose last column, `target`, is a class from 0 on. For every set and depth each
solver runs on one thread, in turn, in a process of its own; the least CPU time of its runs is shown,
without reading the data. A solver that needs more than --limit seconds is shown as `-`. The numbers of
errors are compared where both are proven optimal.

The peers: ConTree (pycontree) and a Rust implementation of the same search (pytrees-rs). Ours is
build/release/benchmarks/solve_table, which $TRAINYARD_SOLVE_TABLE may name instead.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SETS = ["magic:2", "skin:2", "raisin:3", "rice:3", "occupancy:3", "shill_bidding:3", "segment:3",
        "steel_faults:3", "skin:3", "magic:3", "avila:3"]


def run_ours(table, depth, limit):
    program = os.environ.get("TRAINYARD_SOLVE_TABLE",
                             str(ROOT / "build/release/benchmarks/solve_table"))
    out = subprocess.run([program, "--table", table, "--depth", str(depth), "--time_seconds",
                          str(limit)], check=True, capture_output=True, text=True).stdout
    result = json.loads(out)
    return {"optimal": result["status"] == "STATUS_OPTIMAL", "errors": round(result["loss"]),
            "seconds": result["cpu_seconds"]}


def fit_peer(solver, table, depth, limit):
    """In a process of its own: fits and prints what came of it."""
    import time

    import numpy as np
    import pandas as pd

    frame = pd.read_csv(table)
    features, target = frame.drop(columns="target"), frame["target"]
    if solver == "contree":
        from pycontree import ConTree
        model = ConTree(max_depth=depth, time_limit=limit)
    else:
        from pytrees import ConTreeClassifier
        model = ConTreeClassifier(max_depth=depth, max_time=limit)
        features, target = features.to_numpy(np.float64), target.to_numpy()
    start = time.process_time()
    model.fit(features, target)
    seconds = time.process_time() - start
    errors = int((np.asarray(model.predict(features)) != np.asarray(target)).sum())
    optimal = model.status_ == "optimal" if solver == "pytrees" else seconds < limit
    print(json.dumps({"optimal": bool(optimal), "errors": errors, "seconds": seconds}))


def run_peer(solver, table, depth, limit):
    command = [sys.executable, __file__, "--fit", solver, table, str(depth), str(limit)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=4 * limit + 60)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode != 0:
        print(done.stderr[-500:], file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def best_of(results):
    """The quickest of the runs that were completed."""
    completed = [result for result in results if result is not None and result["optimal"]]
    return min(completed, key=lambda result: result["seconds"], default=None)


def measure(folder, name, depth, limit, runs):
    table = str(pathlib.Path(folder) / f"{name}.csv")
    solvers = {"ours": run_ours,
               "contree": lambda *given: run_peer("contree", *given),
               "pytrees": lambda *given: run_peer("pytrees", *given)}
    results = {solver: [] for solver in solvers}
    for _ in range(runs):
        for solver, run in solvers.items():
            previous = results[solver]
            if not previous or (previous[-1] is not None and previous[-1]["optimal"]):
                previous.append(run(table, depth, limit))
    return {solver: best_of(of_solver) for solver, of_solver in results.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--set", action="append", dest="sets", help="NAME:DEPTH")
    parser.add_argument("--limit", type=float, default=300)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    disagreements = 0
    print(f"{'set, depth':22}{'errors':>8}{'ours':>10}{'contree':>10}{'pytrees':>10}  CPU seconds")
    for entry in args.sets or SETS:
        name, depth = entry.split(":")
        found = measure(args.folder, name, int(depth), args.limit, args.runs)
        errors = {result["errors"] for result in found.values() if result is not None}
        disagreements += len(errors) > 1
        line = "".join(f"{'-' if found[s] is None else format(found[s]['seconds'], '.3f'):>10}"
                       for s in ("ours", "contree", "pytrees"))
        shown = "/".join(str(e) for e in sorted(errors))
        print(f"{name + ', ' + depth:22}{shown:>8}{line}", flush=True)
    return 1 if disagreements else 0


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--fit":
        fit_peer(sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
    else:
        sys.exit(main())
