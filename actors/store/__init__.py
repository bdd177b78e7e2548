"""Where tasks, executions and the ledger are kept: one port, several adapters."""
