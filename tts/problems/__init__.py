"""Where problems come from: one file per benchmark."""
