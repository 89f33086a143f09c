"""Chaos: nodes that are killed and paused, a database that goes away in every way, and clients that work meanwhile.

`python -m tests.chaos --kills 1000` is the long run, `test_chaos.py` the short one. See
docs/explanation/how-a-run-survives.md.
"""
