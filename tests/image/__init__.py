"""The checks of `tests/check-image`, by what they look at."""
