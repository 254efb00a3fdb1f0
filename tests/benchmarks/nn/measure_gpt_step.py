"""Steps of AdamW on a GPT-like stack: Trainyard beside PyTorch, turn by turn, with the same threads.

    python tests/benchmarks/nn/measure_gpt_step.py [--threads N] [--rounds N] [--steps N] [--only NAME]

Needs torch and numpy, and the program gpt_step (ninja -C build/release gpt_step). Ratios are Trainyard's figures
over PyTorch's, from the least times of all rounds: wall time, processor time, and peak memory of the process beyond
what it had before the model was made. PyTorch's model uses its fused attention and its fused AdamW."""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
DRIVER = pathlib.Path(os.environ.get("TRAINYARD_BENCHMARKS", ROOT / "build/release/benchmarks")) / "gpt_step"
# width, layers, heads, context, batch
SIZES = {"d256": (256, 4, 4, 512, 8), "d64": (64, 2, 2, 128, 8), "d64_short": (64, 2, 2, 32, 8)}


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run_torch(width, layers, heads, context, batch, threads, steps):
    import torch
    from torch import nn
    from torch.nn import functional

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    # Loads what the first operations load.
    torch.nn.Linear(8, 8)(torch.zeros(2, 8)).sum().backward()
    before = peak_bytes()

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1 = nn.LayerNorm(width)
            self.qkv = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)
            self.norm2 = nn.LayerNorm(width)
            self.up = nn.Linear(width, 4 * width)
            self.down = nn.Linear(4 * width, width)

        def forward(self, x):
            shape = (x.shape[0], x.shape[1], heads, width // heads)
            q, k, v = (part.view(shape).transpose(1, 2) for part in self.qkv(self.norm1(x)).split(width, dim=2))
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).reshape(x.shape))
            return x + self.down(functional.gelu(self.up(self.norm2(x))))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens = nn.Embedding(256, width)
            self.positions = nn.Embedding(context, width)
            self.blocks = nn.ModuleList(Block() for _ in range(layers))
            self.norm = nn.LayerNorm(width)

        def forward(self, tokens):
            x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
            for block in self.blocks:
                x = block(x)
            return functional.linear(self.norm(x), self.tokens.weight)

    model = Model()
    try:
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
    except RuntimeError:
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)
    tokens = torch.randint(256, (batch, context))

    def step():
        optimizer.zero_grad()
        logits = model(tokens)
        functional.cross_entropy(logits.view(-1, 256), tokens.view(-1)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    for _ in range(3):
        step()
    wall, processor = [], []
    for _ in range(steps):
        start, start_processor = time.perf_counter(), time.process_time()
        step()
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - start_processor)
    wall.sort()
    print(json.dumps({"least": wall[0], "median": wall[len(wall) // 2], "processor": min(processor),
                      "process": peak_bytes() - before}))


def call(command):
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--only", choices=SIZES)
    parser.add_argument("--torch", nargs=7, type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.torch:
        run_torch(*arguments.torch)
        return
    for name, sizes in SIZES.items():
        if arguments.only not in (None, name):
            continue
        numbers = [str(n) for n in (*sizes, arguments.threads, arguments.steps)]
        ours, theirs = [], []
        for _ in range(arguments.rounds):
            ours.append(call([DRIVER, *numbers]))
            theirs.append(call([sys.executable, __file__, "--torch", *numbers]))
        line = [f"{name} threads={arguments.threads}"]
        for key in ("least", "processor", "process"):
            a, b = min(r[key] for r in ours), min(r[key] for r in theirs)
            unit = (1e-6, "MB") if key == "process" else (1e3, "ms")
            line.append(f"{key} {a * unit[0]:.4g} / {b * unit[0]:.4g} {unit[1]} = {a / b:.3f}")
        print("; ".join(line))


if __name__ == "__main__":
    main()
