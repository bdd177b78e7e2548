"""The words of definitions: how tasks, triggers, policies and calendars are read, checked and shown."""
