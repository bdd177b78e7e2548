"""Who asks, what he may ask for, and what of it he gets to see."""
