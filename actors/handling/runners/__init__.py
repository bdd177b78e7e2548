"""How handlers are run outside the node's loop: in threads, and in processes of their own."""
