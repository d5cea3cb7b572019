"""The indexing side of a node under seeded faults, on an embedded devnet: ``zmart-lite simulate``."""
