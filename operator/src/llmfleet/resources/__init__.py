"""What we create: one module per kind of child, each a pure function of a Blueprint. Nothing here knows the cluster."""
