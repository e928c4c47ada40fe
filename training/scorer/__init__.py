"""The scorer's training: specimens, targets, the stage, and how it is judged."""
