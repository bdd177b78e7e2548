"""How what happened is told to people: why a time ran or did not, what an attempt went on from, where it failed."""
