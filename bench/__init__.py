"""Side-by-side measurements; run by ``scripts/bench``, never by a test that looks at the time."""
