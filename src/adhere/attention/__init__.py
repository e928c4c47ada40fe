"""Reading and editing attention inside an unmodified model."""
