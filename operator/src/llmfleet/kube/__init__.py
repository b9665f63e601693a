"""The only code that talks to the API server: generic, and ignorant of language models."""
