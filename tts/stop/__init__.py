"""What was sampled so far -> go on or stop: one file per policy."""
