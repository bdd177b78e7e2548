"""REST over Litestar and Hypercorn: the only place that knows either."""
