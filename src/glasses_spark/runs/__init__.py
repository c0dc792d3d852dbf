"""Run folders: written, read and recorded."""
