"""What was measured: one JSON file a chapter, read through `firsthand.kit.lab.evidence`."""
