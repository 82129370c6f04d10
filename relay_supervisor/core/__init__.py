"""The relay without I/O and without a clock: events in, effects out."""
