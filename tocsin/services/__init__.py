"""What carries the operations out."""
