"""A Ray cluster of this machine alone, until standard input ends: `python -m realitygap_plugins.executors.ray_cluster ADDRESS_FILE`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from realitygap.workspace import write_json

_OBJECT_STORE_BYTES = 80 << 20
"""Close to the least that Ray takes: only lines of text travel."""


def main(address_file: Path) -> None:
    """Writes `{"address": ...}` when the cluster is up, `{"error": ...}` when it could not be started."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    # Ray's sockets lie there, and the path of a socket has at most 107 letters.
    temporary = tempfile.mkdtemp(prefix="skills-ray-", dir="/tmp")
    try:
        ray.init(
            address="local",
            num_cpus=len(os.sched_getaffinity(0)),
            object_store_memory=_OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            _temp_dir=temporary,
        )
        write_json(address_file, {"address": ray.get_runtime_context().gcs_address})
        sys.stdin.buffer.read()
    except Exception as error:
        write_json(address_file, {"error": str(error).strip().partition("\n")[0]})
        raise
    finally:
        ray.shutdown()
        shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
