"""Data that ship with libraries or with the book, and readers of files on disk."""
