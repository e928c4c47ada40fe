"""Trainings of the bundled models: code of the repository, no part of the package."""
