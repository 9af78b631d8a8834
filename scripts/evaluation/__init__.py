"""The evaluation on public data: streams in, figures, tables and plots out. Standard library only."""
