"""Softmax attention of 4 heads of 64 on two threads beside PyTorch's scaled_dot_product_attention: wall and
processor milliseconds (least of all repetitions) and our time over theirs. Arguments: repetitions (3), program
(build/release/benchmarks/attention_benchmark). Both run in turn, so that they see the same machine."""

import json
import subprocess
import sys
import time

import torch

REPETITIONS = int(sys.argv[1]) if len(sys.argv) > 1 else 3
PROGRAM = sys.argv[2] if len(sys.argv) > 2 else "build/release/benchmarks/attention_benchmark"
SECONDS = 0.5  # of each contestant in each repetition


def ours(n, causal):
    """(wall, processor) of the forward and the backward pass."""
    times = []
    for name in ("BM_Attend", "BM_AttendBackward"):
        out = subprocess.run(
            [PROGRAM, f"--benchmark_filter=^{name}/n:{n}/causal:{causal}/", "--benchmark_format=json",
             f"--benchmark_min_time={SECONDS / 2}"], check=True, capture_output=True).stdout
        run = json.loads(out)["benchmarks"][0]
        times.append((run["ms"], run["processor_ms"]))
    return times


def timed(work):
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, (1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - processor))


def theirs(n, causal):
    def heads():
        return torch.randn(1, n, 4, 64).transpose(1, 2)
    q, k, v = (heads().requires_grad_() for _ in range(3))
    dout = heads()
    forward, backward = [], []
    end = time.perf_counter() + SECONDS
    while len(forward) < 3 or time.perf_counter() < end:
        out, times = timed(lambda: torch.nn.functional.scaled_dot_product_attention(
            q, k, v, is_causal=bool(causal)))
        forward.append(times)
        backward.append(timed(lambda: out.backward(dout))[1])
        q.grad = k.grad = v.grad = None
    return [least(forward), least(backward)]


def least(times):
    return tuple(min(column) for column in zip(*times))


def main():
    torch.set_num_threads(2)
    print(f"PyTorch {torch.__version__}; milliseconds: wall (processor)")
    for n in (512, 2048, 8192):
        for causal in (1, 0):
            runs = [(ours(n, causal), theirs(n, causal)) for _ in range(REPETITIONS)]
            for i, direction in enumerate(("forward", "backward")):
                a = least([run[0][i] for run in runs])
                b = least([run[1][i] for run in runs])
                print(f"n {n} {'causal' if causal else 'full'} {direction}: {a[0]:.2f} ({a[1]:.2f}), PyTorch "
                      f"{b[0]:.2f} ({b[1]:.2f}); ratio {a[0] / b[0]:.2f} ({a[1] / b[1]:.2f})", flush=True)


if __name__ == "__main__":
    main()
