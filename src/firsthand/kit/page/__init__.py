"""Pages: figures that move, exercises that answer, the style, what notebooks print."""
