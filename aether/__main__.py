"""`python -m aether` is `aether`."""

from aether.cli import main

main()
