"""Scripts that run as programs in the environments of their peers: of this project only those of ours import anything.

Each finds its options as JSON in the variable CONTENDER_OPTIONS and prints one JSON line: figures, how much was to be done and
was, CPU. See `harness`.
"""
