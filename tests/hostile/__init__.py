"""Job files that mean harm: side by side in one project, each with what must be said of it."""
