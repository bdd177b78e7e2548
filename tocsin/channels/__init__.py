"""The ways in which a task type is run at once, for whoever asks: REST, WebSocket, command line, other tasks, a broker."""
