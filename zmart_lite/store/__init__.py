"""The database: one writer with group commit, a few readers, and units of work as plain functions of a transaction."""
