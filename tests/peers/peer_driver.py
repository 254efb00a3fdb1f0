"""Calls the C++ driver that trains one tree."""

import json
import os
import pathlib
import subprocess
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
DRIVERS = pathlib.Path(os.environ.get("TRAINYARD_PEER_DRIVERS", ROOT / "build/release/tests"))
DATA = [ROOT / "tests/data/hs"]
if "TRAINYARD_PEER_DATA" in os.environ:
    DATA.append(pathlib.Path(os.environ["TRAINYARD_PEER_DATA"]))


def find_data(name):
    """Features and target of a table, or None when it is not at hand."""
    for folder in DATA:
        file = folder / f"{name}.csv"
        if file.exists():
            table = np.loadtxt(file, delimiter=",", skiprows=1)
            return table[:, :-1], table[:, -1]
    return None


def write_csv(file, x, targets, weights=None):
    """Columns x0, x1, …, then `w` if given, then `target` or `target0`, `target1`, …"""
    targets = np.asarray(targets).reshape(len(x), -1)
    names = [f"x{i}" for i in range(x.shape[1])]
    columns = [x]
    if weights is not None:
        names.append("w")
        columns.append(np.asarray(weights).reshape(-1, 1))
    width = targets.shape[1]
    names += ["target"] if width == 1 else [f"target{k}" for k in range(width)]
    columns.append(targets)
    np.savetxt(file, np.hstack(columns), delimiter=",", header=",".join(names), comments="",
               fmt="%.17g")


def train(x, y, spec, weights=None, test_x=None):
    """The driver's document; `shrunk` and `plain` become arrays of one row per row of test_x."""
    spec = json.loads(json.dumps(spec))
    y = np.asarray(y)
    table_input = spec.setdefault("input", {})
    if weights is not None:
        table_input["weight_column"] = "w"
    if y.ndim == 2:
        table_input["target_columns"] = [f"target{k}" for k in range(y.shape[1])]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        write_csv(folder / "train.csv", x, y, weights)
        (folder / "spec.json").write_text(json.dumps(spec))
        command = [DRIVERS / "trees_peer_driver", folder / "train.csv", folder / "spec.json"]
        if test_x is not None:
            write_csv(folder / "test.csv", test_x, np.zeros(len(test_x)))
            command.append(folder / "test.csv")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
    result = json.loads(done.stdout)
    if test_x is not None:
        for key in ("shrunk", "plain"):
            result[key] = np.array(result[key]).reshape(len(test_x), -1)
    return result
