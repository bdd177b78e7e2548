"""Schedules of other systems read, carried over as definitions, and compared by their fire times."""
