"""The checker itself: each kind of wrong in a history that is clean but for it, and each excuse with its proof."""
