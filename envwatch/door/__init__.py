"""The door through which people change files here: pushes to managed sources, and edits."""
