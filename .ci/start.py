"""How long the program takes to start: medians of ten whole processes by the clock, beside what is promised.

    python .ci/start.py runs/NAME cell.png

Run it twice: the first time may compile kernels. `--slack 4` is for a machine that does other work: it forgives four times as
much, of what the clock says or of seconds of the processor, which others cannot take away. Beyond that it fails.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("run", help="the folder of a training")
parser.add_argument("image", help="what to predict")
parser.add_argument("--slack", type=float, default=1, help="times as long as promised (default: 1)")
asked = parser.parse_args()

PROMISED = {  # seconds, of Python's own start too
    "import scratchnet": (0.1, ["-c", "import scratchnet"]),
    "scratchnet --help": (0.2, ["-m", "scratchnet", "--help"]),
    "scratchnet predict": (1.0, ["-m", "scratchnet", "predict", asked.run, asked.image]),
}


def of_the_processor() -> float:
    """Seconds that the processes started here have had of it; 0 on Windows, which does not count them."""
    times = os.times()
    return times.children_user + times.children_system


late = []
for name, (seconds, words) in PROMISED.items():
    taken, before = [], of_the_processor()
    for _ in range(10):
        begin = time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        taken.append(time.perf_counter() - begin)
    median, had = statistics.median(taken), (of_the_processor() - before) / len(taken)
    print(
        f"{name}: {median:.3f} s ({min(taken):.3f} to {max(taken):.3f}), of the processor {had:.2f} s, promised {seconds} s"
    )
    if (min(median, had or median) if asked.slack > 1 else median) > asked.slack * seconds:
        late.append(name)
if late:
    sys.exit(f"slower than promised: {', '.join(late)}")
