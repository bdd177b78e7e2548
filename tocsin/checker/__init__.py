"""The checker: what must hold after any run with faults, judged from the outside. It shares no code with what it judges."""
