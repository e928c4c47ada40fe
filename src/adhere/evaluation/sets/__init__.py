"""Where prompt sets come from: one file for each source."""
