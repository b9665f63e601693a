"""What vLLM accepts: versions, tables of names, which field owns which flag, and the arguments of a specification."""
