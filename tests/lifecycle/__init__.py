"""Real processes, real signals, a real state file."""
