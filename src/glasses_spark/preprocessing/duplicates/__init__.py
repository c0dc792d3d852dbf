"""Search for near-duplicate images, and their clusters."""
