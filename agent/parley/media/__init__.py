"""Audio as synchronous, stateful objects: no I/O, no clock, no loop."""
