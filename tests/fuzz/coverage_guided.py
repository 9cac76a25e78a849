"""`python -m tests.fuzz.coverage_guided [--cases N] [--seed S]`: the pure decoders under atheris (libFuzzer).

What reaches new branches of our code is kept and wounded further. atheris has wheels for Linux on x86-64 alone; where
it is not installed nothing is run, and this says so. A failing input is printed, and kept as a file `crash-…`, which
`python -m tests.fuzz.coverage_guided --only TARGET FILE` replays.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

INPUT_BYTES_MAX = 4096
TARGETS = ("frames", "results", "rest", "sockets")


def main() -> int:
    """Exit code 0 where every target held, or atheris is not here."""
    options, files = _options()
    if importlib.util.find_spec("atheris") is None:
        sys.stdout.write("coverage guided: skipped, atheris is not installed (it has wheels for Linux on x86-64)\n")
        return 0
    if options.only:
        _fuzz(options.only, [f"-runs={options.cases}", f"-seed={options.seed}", *files])
    for target in TARGETS:
        if not _held(target, -(-options.cases // len(TARGETS)), options.seed):
            return 1
    return 0


def _options() -> tuple[argparse.Namespace, Sequence[str]]:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.coverage_guided", description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="inputs in all (default 10000)")
    parser.add_argument("--seed", type=int, default=1, help="of libFuzzer (default 1)")
    parser.add_argument("--only", choices=TARGETS, help="run this target here, with what follows handed to libFuzzer")
    return parser.parse_known_args()


def _held(target: str, cases: int, seed: int) -> bool:
    """Run one target in a process of its own, for libFuzzer ends its process."""
    with tempfile.TemporaryDirectory(prefix="aether-fuzz-") as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        command = [sys.executable, "-m", "tests.fuzz.coverage_guided", "--only", target, f"--cases={cases}"]
        command += [f"--seed={seed}", str(corpus), f"-max_len={INPUT_BYTES_MAX}"]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    told = [" ".join(line.split()) for line in ended.stderr.splitlines() if " cov: " in line]
    sys.stdout.write(f"coverage guided {target}: {told[-1] if told else 'no case ran'}\n")
    if ended.returncode:
        sys.stdout.write(ended.stdout + ended.stderr)
    return ended.returncode == 0


def _fuzz(target: str, arguments: Sequence[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=["aether.kraken", "aether.sim"], enable_loader_override=False):
        from tests.fuzz import pure
        from tests.fuzz.wounds import Document, wounded

    def mutate(data: bytes, length_max: int, seed: int) -> bytes:
        """Half of the time by structure, as far as there is one; else byte by byte, as libFuzzer does."""
        chance = Random(seed)
        if chance.randrange(2):
            with contextlib.suppress(ValueError, RecursionError):
                return wounded(chance, Document(data))[:length_max]
        return bytes(atheris.Mutate(data, length_max))

    folders = [Path(each) for each in arguments if not each.startswith("-")]
    if folders and folders[0].is_dir():
        for number, seed in enumerate(pure.SEEDS[target]()):
            (folders[0] / f"{number:04}").write_bytes(seed)
    read: Callable[[bytes], None] = pure.READERS[target]()
    atheris.Setup([sys.argv[0], *arguments], read, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
