"""The table of failures: the closed list of reasons, and what is written when each is the case. A new one is one row; tests match each with its example."""

from typing import Final

from llmfleet_runtime.failure_patterns.accelerator import ACCELERATOR
from llmfleet_runtime.failure_patterns.arguments import ARGUMENTS, OTHER_ARGUMENTS
from llmfleet_runtime.failure_patterns.memory import MEMORY
from llmfleet_runtime.failure_patterns.pattern import RUN, Pattern
from llmfleet_runtime.failure_patterns.processes import PROCESSES
from llmfleet_runtime.failure_patterns.reason import REMEDIES, Reason
from llmfleet_runtime.failure_patterns.sources import SOURCES

__all__ = ["GENERIC", "PATTERNS", "REMEDIES", "RUN", "Pattern", "Reason"]

PATTERNS: Final = (*MEMORY, *ACCELERATOR, *SOURCES, *ARGUMENTS, *PROCESSES, *OTHER_ARGUMENTS)
"""In order: the first row that matches a line gives its reason."""

GENERIC: Final = (
    r"Engine core initialization failed|EngineCore failed to start|EngineCore encountered (?:a fatal error|an issue)|EngineDeadError|See root cause above|"
    r"WorkerProc (?:hit an exception|initialization failed|failed)|AsyncLLM output_handler failed|died unexpectedly|validation errors? for |"
    r"Dumping (?:input data|scheduler output|scheduler stats) |RuntimeError: cancelled|Invocation of \w+ method failed|direct cause of the following|"
    r"^(?:Error retrieving file list: )?\d{3} Client Error\.|HfHubHTTPError: \(Request ID|HTTPStatusError: |"
    r"During handling of the above exception|^[\w.]*(?:CancelledError|KeyboardInterrupt)$|Application startup failed|Error saving model info cache"
)
"""Lines that say that something went wrong, not what: told only where there is nothing better."""
