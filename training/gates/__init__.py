"""What a bundled model must be able to do, measured: `python -m training gates`."""
