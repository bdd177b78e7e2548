"""A whole node in virtual time: hours in a second, with bad luck on order."""
