"""What can work: people's objects are read, and ordered checks say what stands in the way."""
