"""What the chapter's page needs: figures, live parts, exercises."""
