"""What the daemon takes for what, as somebody outside of it sees it. Start with `make bench`."""
