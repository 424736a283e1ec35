"""A new chapter's first files, from templates: `firsthand new KEY`. What they hold is a toy that runs."""

from firsthand.scaffold.new import scaffold

__all__ = ["scaffold"]
