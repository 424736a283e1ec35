"""Data that are made on the spot, with exact truths."""
