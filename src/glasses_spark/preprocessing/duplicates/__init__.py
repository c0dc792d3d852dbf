"""Near-duplicates: images that are nearly the same, in clusters."""
