"""The loop: gather, decide, apply, observe, status."""
