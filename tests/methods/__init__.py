"""The papers' methods: known answers, and hand-computed values on the maps of runs."""
