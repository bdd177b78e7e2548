"""One workload a file: `bench_NAME.py` with `run(full: bool) -> dict`, see `__main__.py` for what it returns."""
