"""Data that the chapters use: generators, small sets that ship with libraries, and readers of files on disk."""
