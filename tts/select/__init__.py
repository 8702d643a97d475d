"""Pool -> Selection: one file per strategy."""
