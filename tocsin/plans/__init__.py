"""Definitions as code: files of tasks and calendars read, compared with what is stored, applied, and written."""
