"""Numbers that suit a model: calibrated from single subjects, or searched for."""
