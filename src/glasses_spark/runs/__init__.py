"""Run folders: writing, reading, comparing and tracking the results of runs."""
