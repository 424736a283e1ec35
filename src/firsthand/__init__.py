"""Firsthand: ten machine-learning papers that you read, run, check and break.

Every chapter is a folder of this package; `firsthand.kit` holds what the chapters share.
"""

__version__ = "0.1.0"
