"""What people would pick instead, each in an environment of its own; its programs are written for this."""
