"""Live events: what happens in the cluster, told to everybody who follows it."""
