"""Networks written by Trainyard, applied by onnxruntime: `model.onnx` against Trainyard's own predictions in double,
and `network.safetensors` read by the reference package.

ONNX inputs are in float. The tables' numbers are such that float holds them, but for the dates, which are held to 64 s,
some 1e-6 of their spread; predictions of some neurons with random weights then agree to about 1e-6 of their range."""

import csv
import json
import pathlib
import subprocess
import tempfile
import unittest

import numpy as np
import peer_driver

try:
    import onnx
    import onnxruntime
    from safetensors.numpy import load_file
except ImportError as error:
    raise unittest.SkipTest(f"needs the packages of requirements_network.txt: {error}")

TOLERANCE = 1e-5
DAY = 86400


def make_table(rng, rows, kinds, new_levels):
    """Columns by name: lists of numbers or texts, None where missing; dates as seconds."""
    def some_missing(values, share=0.1):
        return [None if rng.random() < share else value for value in values]

    columns = {}
    if "number" in kinds:
        columns["size"] = [float(np.float32(x)) for x in rng.normal(1000, 3, rows)]
        columns["age"] = some_missing([float(x) for x in rng.integers(18, 90, rows)])
    if "boolean" in kinds:
        columns["member"] = some_missing([bool(x) for x in rng.integers(0, 2, rows)])
    if "date" in kinds:
        columns["since"] = some_missing([int(x) * DAY for x in rng.integers(10000, 20000, rows)])
    if "text" in kinds:
        levels = ["red", "gr\u00fcn", "deep blue"] + (["new"] if new_levels else [])
        columns["colour"] = some_missing([str(x) for x in rng.choice(levels, rows)])
        # Names that the graph uses itself.
        columns["features"] = [str(x) for x in rng.choice(["a", "b"], rows)]
        columns["label"] = some_missing([str(x) for x in rng.choice(["x", "y", "z"], rows)], 0.5)
    return columns


def csv_text(value, name):
    if value is None:
        return ""
    if name == "since":
        return str(np.datetime64(value, "s"))
    return str(value).lower() if isinstance(value, bool) else str(value)


def write_csv(file, columns):
    with open(file, "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(columns)
        for row in zip(*columns.values()):
            writer.writerow([csv_text(value, name) for value, name in zip(row, columns)])


def onnx_inputs(session, columns):
    """What the model's metadata ask for, from the columns."""
    metadata = session.get_modelmeta().custom_metadata_map
    inputs = {}
    names = [given.name for given in session.get_inputs()]
    if "feature_columns" in metadata:
        numbers = [[np.nan if value is None else float(value) for value in columns[name]]
                   for name in json.loads(metadata["feature_columns"])]
        inputs[names.pop(0)] = np.array(numbers, dtype=np.float32).T
    for name, column in zip(names, json.loads(metadata.get("text_columns", "[]"))):
        texts = ["" if value is None else value for value in columns[column]]
        inputs[name] = np.array(texts, dtype=object).reshape(-1, 1)
    return inputs


class NetworkOnnxTest(unittest.TestCase):
    def run_case(self, model, kinds=("number", "boolean", "date", "text"), encoding="raw", seed=1):
        rng = np.random.default_rng(seed)
        train = make_table(rng, 400, kinds, new_levels=False)
        test = make_table(rng, 1000, kinds, new_levels=True)
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            write_csv(folder / "train.csv", train)
            write_csv(folder / "test.csv", test)
            (folder / "model.json").write_text(json.dumps(model))
            done = subprocess.run(
                [peer_driver.DRIVERS / "network_peer_driver", folder / "train.csv", folder / "model.json",
                 folder / "test.csv", folder, encoding, str(seed)],
                capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            onnx.checker.check_model(onnx.load(folder / "model.onnx"), full_check=True)
            session = onnxruntime.InferenceSession(folder / "model.onnx")
            outputs = dict(zip([given.name for given in session.get_outputs()],
                               session.run(None, onnx_inputs(session, test))))
            weights = load_file(folder / "network.safetensors")
        rows = list(csv.DictReader(done.stdout.splitlines()))
        self.assertEqual(len(rows), 1000)
        self.assertEqual(len(weights["output_weights"]), model["neurons"])
        self.compare(model, rows, outputs)

    def compare(self, model, rows, outputs):
        names = [name for name in rows[0] if "classes" not in model or name != "prediction"]
        own = np.array([[float(row[name]) for name in names] for row in rows])
        if "classes" not in model:
            values = outputs["prediction"]
        else:
            squared = model["loss"] == "LOSS_SQUARED"
            values = outputs["scores" if squared else "probabilities"]
            kind = "score_" if squared else "probability_"
            self.assertEqual(names, [kind + name for name in model["classes"]])
            ordered = np.sort(own, axis=1)
            clear = ordered[:, -1] - ordered[:, -2] > 10 * TOLERANCE
            labels = np.array([row["prediction"] for row in rows])
            self.assertTrue(np.array_equal(labels[clear], outputs["label"][clear]))
            self.assertGreater(clear.mean(), 0.5 if model["neurons"] > 0 else -1)
            self.assertTrue(np.array_equal(labels, np.array(model["classes"])[own.argmax(axis=1)]))
        self.assertEqual(values.shape, own.shape)
        self.assertEqual(values.dtype, np.float32)
        error = np.abs(values - own).max() / max(1.0, np.abs(own).max())
        self.assertLess(error, TOLERANCE)

    def test_regression(self):
        for gated in (False, True):
            for encoding in ("raw", "standardized"):
                with self.subTest(gated=gated, encoding=encoding):
                    self.run_case({"targets": ["y"], "loss": "LOSS_SQUARED", "gated": gated, "neurons": 40},
                                  encoding=encoding)

    def test_several_targets(self):
        self.run_case({"targets": ["a", "b", "c"], "loss": "LOSS_SQUARED", "neurons": 30})

    def test_classes(self):
        for loss in ("LOSS_SQUARED", "LOSS_LOGISTIC", "LOSS_SOFTMAX"):
            for classes in (["no", "yes"], ["a", "b", "c", "\u00e4"]):
                with self.subTest(loss=loss, classes=classes):
                    self.run_case({"targets": ["y"], "classes": classes, "loss": loss, "gated": True,
                                   "neurons": 25})

    def test_kinds_of_columns(self):
        for kinds in (["number"], ["text"], ["boolean", "text"], ["date"]):
            with self.subTest(kinds=kinds):
                self.run_case({"targets": ["y"], "loss": "LOSS_SQUARED", "neurons": 20}, kinds)

    def test_without_neurons(self):
        self.run_case({"targets": ["y"], "loss": "LOSS_SQUARED", "neurons": 0})
        self.run_case({"targets": ["y"], "classes": ["a", "b", "c"], "loss": "LOSS_LOGISTIC", "neurons": 0})


if __name__ == "__main__":
    unittest.main()
