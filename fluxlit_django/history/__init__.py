"""What is kept of starts and of what happened to processes."""
