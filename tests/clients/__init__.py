"""Programs that others wrote, against the real daemon."""
