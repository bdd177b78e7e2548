"""Clients of a node's REST interface: what is asked (`asks`), how it is asked for (`asking_core`), and two that send it."""
