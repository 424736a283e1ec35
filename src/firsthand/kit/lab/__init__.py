"""Measuring: claims, evidence, sweeps, hashes of code."""
