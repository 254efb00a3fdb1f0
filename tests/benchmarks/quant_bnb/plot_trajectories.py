"""Draws how searches for optimal trees of three levels close in on the optimum, as an SVG file.

    python3 tests/benchmarks/quant_bnb/plot_trajectories.py OUTPUT.svg FILE.csv [FILE.csv ...]

Each file is searched once to its end and then again with ever larger limits on the number of root
thresholds evaluated: the ends of these runs are points of the trajectory, which are not to be had from
one run of less than a second. Needs nothing but Python and build/release/benchmarks/solve_table, which
$TRAINYARD_SOLVE_TABLE may name instead.
"""
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = os.environ.get("TRAINYARD_SOLVE_TABLE", str(ROOT / "build/release/benchmarks/solve_table"))
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 300, 220, 52, 34, 40


def solve(table, evaluations, trajectory=False):
    command = [PROGRAM, "--table", table, "--depth", "3", "--threads", "2",
               "--evaluations", str(evaluations)] + (["--trajectory"] if trajectory else [])
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


def trajectory_of(table):
    """Points (seconds, incumbent, lower bound), the last one at the optimum."""
    *reports, end = solve(table, 0, trajectory=True)
    points = [(r["seconds"], r["incumbent"], r["lower_bound"]) for r in reports if r["better"]]
    evaluations = 8
    while evaluations < end["evaluated"]:
        (run,) = solve(table, evaluations)
        points.append((run["seconds"], run["loss"], run["lower_bound"]))
        evaluations += max(8, evaluations // 8)
    # Times of different runs differ a little: what one has shown holds for what comes later in another.
    incumbent, bound, joined = float("inf"), 0, []
    for seconds, loss, least in sorted(points):
        if seconds >= end["seconds"]:
            break
        incumbent, bound = min(incumbent, loss), max(bound, least)
        joined.append((seconds, incumbent, bound))
    return joined + [(end["seconds"], end["loss"], end["lower_bound"])]


def panel(points, name, x0):
    end, optimum = points[-1][0], points[-1][1]
    top = 1.5  # of the optimum

    def x(seconds):
        return x0 + LEFT + (WIDTH - LEFT - 10) * seconds / end

    def y(loss):
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(loss / optimum, top) / top)

    def steps(column):
        path = [f"M{x(points[0][0]):.1f},{y(points[0][column]):.1f}"]
        for point in points[1:]:
            path.append(f"H{x(point[0]):.1f}V{y(point[column]):.1f}")
        return "".join(path)

    out = [f'<text x="{x0 + WIDTH / 2:.0f}" y="18" text-anchor="middle">{name}: {optimum:g} in {end:.2f} s</text>']
    for share in (0, 0.5, 1, 1.5):
        at = y(share * optimum)
        out.append(f'<path d="M{x0 + LEFT},{at:.1f}H{x0 + WIDTH - 10}" stroke="#ddd" fill="none"/>'
                   f'<text x="{x0 + LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{share:g}</text>')
    for share in (0, 0.5, 1):
        out.append(f'<text x="{x(share * end):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">'
                   f'{share * end:.2f}</text>')
    out.append(f'<text x="{x0 + WIDTH / 2 + 20:.0f}" y="{HEIGHT - 6}" text-anchor="middle">seconds</text>')
    out.append(f'<path d="{steps(1)}" stroke="#c0392b" stroke-width="2" fill="none"/>')
    out.append(f'<path d="{steps(2)}" stroke="#2471a3" stroke-width="2" fill="none"/>')
    return "\n".join(out)


def main():
    output, *tables = sys.argv[1:]
    panels = []
    for i, table in enumerate(tables):
        points = trajectory_of(table)
        panels.append(panel(points, pathlib.Path(table).stem, i * WIDTH))
    width = WIDTH * len(tables)
    legend = (f'<text x="{LEFT}" y="{HEIGHT + 16}" fill="#c0392b">best tree</text>'
              f'<text x="{LEFT + 70}" y="{HEIGHT + 16}" fill="#2471a3">lower bound</text>'
              f'<text x="{LEFT + 160}" y="{HEIGHT + 16}">both as shares of the least loss</text>')
    pathlib.Path(output).write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT + 24}" '
        f'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="#fff"/>\n'
        + "\n".join(panels) + "\n" + legend + "\n</svg>\n")


if __name__ == "__main__":
    main()
