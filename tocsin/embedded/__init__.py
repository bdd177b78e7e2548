"""Real servers as child processes, from the installed Debian packages: for the development cluster and for tests.

Everything here is plain and blocking: tests call it as it is, the command line in threads.
"""
