"""What a node tells about its own beginning and end: what goes on, what was interrupted, whether its handlers are the newest."""
