"""Candidate -> number: one file per scorer. Higher is better, within one problem only."""
