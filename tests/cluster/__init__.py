"""Several node processes on real servers."""
