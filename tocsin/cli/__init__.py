"""The command line, over REST: the only place that prints."""
