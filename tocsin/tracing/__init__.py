"""Traces: what requests, executions and deliveries were, as spans for OpenTelemetry."""
