"""The phase diagram of mode seeking."""
