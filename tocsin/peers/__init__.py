"""What nodes ask of each other on behalf of callers."""
