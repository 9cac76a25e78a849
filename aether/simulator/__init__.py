"""The fault simulator: the whole daemon, its journal and the made Kraken in one deterministic world, and its judges."""
