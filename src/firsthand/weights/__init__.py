"""Trained weights that ship with the book: safetensors, each chapter's with a card (JSON) of how they were made."""
