"""What is configured: file and environment, with units, defaults, limits and reasons."""
