"""Parameter server in the driver, and its clients on the workers."""
