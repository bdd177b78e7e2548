"""Times: what triggers, calendars and zones name, in pure functions behind the doors to croniter, tzdata and iCalendar."""
