"""Faults on purpose: commands are killed, starved and fed nonsense, and rules must hold.

    python tests/faults                 a small part, as in `make test`
    python tests/faults --all           everything, in hours (`make faults`)

`preloaded` runs commands in forks of a process that has imported everything. `lab` makes the
graphs, runs and models that faults hit. `rules` says what must hold afterwards. The other files
draw the cases of each kind of fault and put them together.
"""
