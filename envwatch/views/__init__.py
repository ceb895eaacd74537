"""Read-only questions that pages, feeds and the command line ask; values, never rows."""
