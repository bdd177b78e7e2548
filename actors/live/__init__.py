"""What just happened on a node, kept for those who look: the newest changes, and figures of all of them."""
