"""Coverage-guided fuzzing of the readers, for developers:

    pip install atheris                       Linux on x86_64 only: no wheels elsewhere
    python tests/faults/fuzz.py shard --minutes 15
    python tests/faults/fuzz.py --help

Atheris (libFuzzer for Python) follows which lines of our readers an input reaches, and changes the inputs that reach new ones.
HDF5 files are changed inside their structures, with checksums made right again (hdf5_mutation.py), since chance finds none.
A fault is: any exception but a ScratchnetError, more than --memory MiB, more than 10 seconds for one input, a crash of the process.
The input of a fault is kept in --keep; given again as the second argument it is run alone.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

SECONDS = 10  # for one input


def main():
    """Runs one target until the time is over; returns only where it cannot begin."""
    parser = argparse.ArgumentParser(description="Fuzzes a reader of files.")
    parser.add_argument("target", choices=("shard", "manifest", "checkpoint", "config"))
    parser.add_argument("input", nargs="?", help="run this input alone")
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--memory", type=int, default=1024, help="MiB that the process may take (1024)")
    parser.add_argument("--keep", default=".", help="folder for the inputs of faults (.)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    try:
        import atheris
    except ImportError:
        print("fuzz.py: needs atheris (pip install atheris), which exists for Linux on x86_64 only", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=["scratchnet"]):
        from faults import targets

    folder = tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    print(f"What is found on the way is left in {folder}.", flush=True)
    corpus = Path(folder, "corpus")
    corpus.mkdir()
    for number, content in enumerate(targets.seeds(options.target)):
        (corpus / f"seed-{number}").write_bytes(content)

    def change(data, max_size, seed):
        if seed % 4 == 0:
            data = atheris.Mutate(data, max_size)
        return targets.mutate(options.target, data, seed)[:max_size]

    arguments = [
        sys.argv[0], *([options.input] if options.input else [str(corpus)]), f"-max_total_time={round(60 * options.minutes)}",
        f"-timeout={SECONDS}", f"-rss_limit_mb={options.memory}", f"-artifact_prefix={options.keep}/", f"-seed={options.seed}",
        "-max_len=65536", "-print_final_stats=1", "-verbosity=1", "-len_control=0",
    ]  # fmt: skip
    atheris.Setup(arguments, lambda data: targets.run(options.target, data, folder), custom_mutator=change)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
