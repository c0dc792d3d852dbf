"""Fuzzing: arbitrary bytes at each way by which a stranger's bytes enter the library."""
