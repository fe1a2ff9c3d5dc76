"""What the processes agree on about metrics."""
