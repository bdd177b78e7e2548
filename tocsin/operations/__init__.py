"""All that can be asked for: the table of operations, who may, and the way of a call to its service."""
