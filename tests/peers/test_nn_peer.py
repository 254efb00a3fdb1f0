"""Operations, optimisers and a stack of Transformer blocks beside PyTorch: values, gradients, ten steps.

In float64 both agree to rounding; in float32 to about 1e-5 of the largest value."""

import pathlib
import subprocess
import tempfile
import unittest

import numpy as np
from peer_driver import DRIVERS

try:
    import torch
    from safetensors.numpy import load_file, save_file
    from torch.nn import functional
except ImportError as error:
    raise unittest.SkipTest(f"needs the packages of requirements_nn.txt: {error}")

DRIVER = DRIVERS / "nn_peer_driver"
TOLERANCE = {np.float64: 1e-11, np.float32: 3e-5}


def call(arguments, tensors):
    """The tensors that the driver writes for `tensors`."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        save_file({name: np.asarray(value, order="C") for name, value in tensors.items()}, folder / "in.safetensors")
        done = subprocess.run([DRIVER, *arguments, folder / "in.safetensors", folder / "out.safetensors"],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return load_file(folder / "out.safetensors")


def by_heads(x, heads=2):
    return x.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)


def attend(q, k, v, causal):
    y = functional.scaled_dot_product_attention(by_heads(q), by_heads(k), by_heads(v), is_causal=causal)
    return y.transpose(1, 2).flatten(2)


def rms_norm(x, gain):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6) * gain


def convolve(x, w, b):
    """x [batch, length, in], w [width, in, out]; two zeros before and two behind."""
    y = functional.conv1d(x.transpose(1, 2), w.permute(2, 1, 0), b, padding=2)
    return y.transpose(1, 2)


# Shapes of a, b, c; the operation in PyTorch on them and the targets; whether b is a probability.
OPERATIONS = {
    "gelu": ([(3, 7)], lambda a, _: functional.gelu(a)),
    "silu": ([(3, 7)], lambda a, _: functional.silu(a)),
    "softplus": ([(3, 7)], lambda a, _: functional.softplus(a, threshold=1000)),
    "tanh": ([(3, 7)], lambda a, _: torch.tanh(a)),
    "sigmoid": ([(3, 7)], lambda a, _: torch.sigmoid(a)),
    "softmax": ([(2, 3, 7)], lambda a, _: torch.softmax(a, -1)),
    "log_softmax": ([(2, 3, 7)], lambda a, _: torch.log_softmax(a, -1)),
    "linear": ([(2, 3, 7), (7, 5), (5,)], lambda a, b, c, _: a @ b + c),
    "batched_matmul": ([(4, 1, 3, 7), (2, 7, 5)], lambda a, b, _: a @ b),
    "layer_norm": ([(2, 3, 7), (7,), (7,)], lambda a, b, c, _: functional.layer_norm(a, (7,), b, c, 1e-5)),
    "rms_norm": ([(2, 3, 7), (7,)], lambda a, b, _: rms_norm(a, b)),
    "attention": ([(2, 5, 8), (2, 6, 8), (2, 6, 4)], lambda a, b, c, _: attend(a, b, c, False)),
    "causal_attention": ([(2, 70, 8), (2, 70, 8), (2, 70, 4)], lambda a, b, c, _: attend(a, b, c, True)),
    "convolution": ([(2, 9, 3), (5, 3, 4), (4,)], lambda a, b, c, _: convolve(a, b, c)),
    "cross_entropy": ([(12, 7)], lambda a, t: functional.cross_entropy(a, t, reduction="sum", ignore_index=-1) / 12),
    "linear_cross_entropy": ([(12, 3), (7, 3), (7,)], lambda a, b, c, t: functional.cross_entropy(
        a @ b.T + c, t, reduction="sum", ignore_index=-1) / 12),
    "binary_cross_entropy": ([(3, 7), (3, 7)], lambda a, b, _: functional.binary_cross_entropy_with_logits(
        a, b.detach())),
    "squared_error": ([(3, 7), (3, 7)], lambda a, b, _: functional.mse_loss(a, b)),
    "absolute_error": ([(3, 7), (3, 7)], lambda a, b, _: functional.l1_loss(a, b)),
}

OPTIMIZERS = {
    "sgd": lambda w: torch.optim.SGD(w, lr=0.01, weight_decay=0.1),
    "momentum": lambda w: torch.optim.SGD(w, lr=0.01, momentum=0.9, weight_decay=0.1),
    "nesterov": lambda w: torch.optim.SGD(w, lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": lambda w: torch.optim.Adam(w, lr=0.01, weight_decay=0.1),
    "adamw": lambda w: torch.optim.AdamW(w, lr=0.01, weight_decay=0.1),
}


class Gpt(torch.nn.Module):
    """The model of tests/core/nn/gpt_model.h under the same names; weights are [in, out]."""

    def __init__(self, weights, layers, heads):
        super().__init__()
        self.w = {name: torch.nn.Parameter(torch.tensor(value)) for name, value in weights.items()}
        self.layers, self.heads = layers, heads

    def norm(self, x, name):
        return functional.layer_norm(x, x.shape[-1:], self.w[name + ".gain"], self.w[name + ".bias"], 1e-5)

    def linear(self, x, name):
        return x @ self.w[name + ".weight"] + self.w[name + ".bias"]

    def attention(self, x, name):
        q, k, v = (by_heads(part, self.heads) for part in self.linear(x, name + ".qkv").chunk(3, dim=-1))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.linear(y.transpose(1, 2).flatten(2), name + ".out")

    def loss(self, tokens, targets):
        x = self.w["tokens.weight"][tokens] + self.w["positions.weight"]
        for i in range(self.layers):
            name = f"blocks.{i}."
            x = x + self.attention(self.norm(x, name + "norm1"), name + "attention")
            y = functional.gelu(self.linear(self.norm(x, name + "norm2"), name + "feed_forward.in"))
            x = x + self.linear(y, name + "feed_forward.out")
        logits = self.norm(x, "norm") @ self.w["tokens.weight"].T
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def gpt_weights(rng, vocabulary, context, width, layers, dtype):
    shapes = {"tokens.weight": (vocabulary, width), "positions.weight": (context, width), "norm.gain": (width,),
              "norm.bias": (width,)}
    for i in range(layers):
        name = f"blocks.{i}."
        for norm in ("norm1", "norm2"):
            shapes |= {name + norm + ".gain": (width,), name + norm + ".bias": (width,)}
        for part, (a, b) in {"attention.qkv": (1, 3), "attention.out": (1, 1), "feed_forward.in": (1, 4),
                             "feed_forward.out": (4, 1)}.items():
            shapes |= {name + part + ".weight": (a * width, b * width), name + part + ".bias": (b * width,)}
    return {name: (rng.normal(0, 0.2, shape) + (1 if name.endswith("gain") else 0)).astype(dtype)
            for name, shape in shapes.items()}


@unittest.skipUnless(DRIVER.exists(), "build nn_peer_driver first")
class NnPeerTest(unittest.TestCase):
    def expect_close(self, ours, theirs, tolerance, message):
        theirs = theirs.detach().numpy() if isinstance(theirs, torch.Tensor) else theirs
        self.assertEqual(ours.shape, theirs.shape, message)
        self.assertLessEqual(np.abs(ours - theirs).max(), tolerance * max(1.0, np.abs(theirs).max()), message)

    def test_operations(self):
        for name, (shapes, function) in OPERATIONS.items():
            for dtype in (np.float64, np.float32):
                with self.subTest(name, dtype=dtype):
                    rng = np.random.default_rng(3)
                    inputs = [rng.normal(size=shape).astype(dtype) for shape in shapes]
                    if name == "binary_cross_entropy":
                        inputs[1] = rng.uniform(size=shapes[1]).astype(dtype)
                    targets = rng.integers(-1, 7, 12).astype(np.int32)
                    leaves = [torch.tensor(x, requires_grad=True) for x in inputs]
                    y = function(*leaves, torch.tensor(targets.astype(np.int64)))
                    seed = np.asarray(rng.normal(size=tuple(y.shape))).astype(dtype)
                    y.backward(torch.tensor(seed))
                    out = call(["op", name], dict(zip("abc", inputs)) | {"targets": targets, "seed": seed})
                    self.expect_close(out["y"], y, TOLERANCE[dtype], "y")
                    for letter, leaf in zip("abc", leaves):
                        if leaf.grad is not None:
                            self.expect_close(out["d" + letter], leaf.grad, TOLERANCE[dtype], "d" + letter)

    def test_optimizers(self):
        for name, make in OPTIMIZERS.items():
            for dtype in (np.float64, np.float32):
                with self.subTest(name, dtype=dtype):
                    rng = np.random.default_rng(4)
                    start = rng.normal(size=(5, 13)).astype(dtype)
                    gradients = [rng.normal(size=(5, 13)).astype(dtype) for _ in range(10)]
                    w = torch.nn.Parameter(torch.tensor(start))
                    optimizer = make([w])
                    out = call(["optimizer", name], {"w": start} | {f"g{i}": g for i, g in enumerate(gradients)})
                    for i, gradient in enumerate(gradients):
                        w.grad = torch.tensor(gradient)
                        optimizer.step()
                        self.expect_close(out[f"w{i}"], w, {np.float64: 1e-13, np.float32: 1e-6}[dtype], f"step {i}")

    def test_a_stack_of_blocks(self):
        layers, heads, vocabulary, context, width = 2, 2, 17, 20, 16
        for dtype in (np.float64, np.float32):
            with self.subTest(dtype=dtype):
                rng = np.random.default_rng(5)
                weights = gpt_weights(rng, vocabulary, context, width, layers, dtype)
                tokens, targets = (rng.integers(0, vocabulary, (3, context)).astype(np.int32) for _ in range(2))
                out = call(["gpt", str(layers), str(heads)], weights | {"tokens": tokens, "targets": targets})
                model = Gpt(weights, layers, heads)
                # Only matrices decay, and not the tables of embeddings.
                decays = [p for n, p in model.w.items() if n.startswith("blocks") and n.endswith(".weight")]
                others = [p for n, p in model.w.items() if not (n.startswith("blocks") and n.endswith(".weight"))]
                optimizer = torch.optim.AdamW([{"params": decays, "weight_decay": 0.1},
                                               {"params": others, "weight_decay": 0.0}], lr=0.001)
                for step in range(10):
                    optimizer.zero_grad()
                    loss = model.loss(torch.tensor(tokens.astype(np.int64)), torch.tensor(targets.astype(np.int64)))
                    loss.backward()
                    if step == 0:
                        self.expect_close(out["loss"], loss, TOLERANCE[dtype], "loss")
                        for name, p in model.w.items():
                            self.expect_close(out["d." + name], p.grad, TOLERANCE[dtype], name)
                    norm = torch.sqrt(sum((p.grad.double() ** 2).sum() for p in model.w.values()))
                    for p in model.w.values():
                        p.grad *= min(1.0, 0.5 / norm.item())
                    optimizer.step()
                for name, p in model.w.items():
                    # Adam divides by the root of tiny squares: rounding grows where gradients are near 0.
                    self.expect_close(out[name], p, {np.float64: 1e-8, np.float32: 2e-3}[dtype], name)


if __name__ == "__main__":
    unittest.main()
