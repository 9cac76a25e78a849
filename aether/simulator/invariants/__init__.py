"""The numbered properties, each a small predicate over the evidence of a run, and the judge that asks them all."""
