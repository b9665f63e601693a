"""`vllm serve` whose processes are forks of one that has imported everything: it starts in a third of the time. Run with the Python of the CPU environment.

Everything else is vLLM's own: its signal handlers, its processes and how they learn of each other's death.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from e2e.engine_forks import prepare

if __name__ == "__main__":
    prepare()
    sys.exit(sys.modules["vllm.entrypoints.cli.main"].main())
