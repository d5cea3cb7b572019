"""What is only read: rows as clients see them, lists, figures, what is due or stuck. Nothing here writes."""
