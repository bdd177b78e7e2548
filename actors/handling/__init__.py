"""The handlers' side: which task types there are, what a handler sees, where it runs."""
