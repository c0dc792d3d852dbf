"""Reports: pages and figures of a run."""
