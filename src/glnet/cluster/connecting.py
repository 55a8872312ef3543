"""The way in for users: an executor on Ray."""

from collections.abc import Callable

from glnet.cluster.executor import ClusterExecutor
from glnet.cluster.ray_cluster import Places
from glnet.cluster.ray_engine import RayEngine


def on_ray(
    address: str = "auto",
    *,
    workers: int | None = None,
    gpus_per_worker: float = 0.0,
    threads_per_worker: int = 1,
    tell: Callable[[str], None] = lambda _: None,
) -> ClusterExecutor:
    """Workers on a Ray cluster, for ``executor=`` of `segment` and `segment_file`.

    Close it, or use it in a ``with``, to send them home. Results are, byte by byte, those of one
    process that computes with ``threads_per_worker`` threads, for any number of workers.

    Args:
        address: ``auto`` (the cluster that this machine belongs to, else one of this machine's own
            that ends with it), ``local`` (that), or ``host:port`` as ``ray start --head`` prints.
        workers: How many; by default as many as the cluster has room for.
        gpus_per_worker: Which part of a GPU each takes; 0 computes on the CPU.
        threads_per_worker: With how many threads each computes, and how many CPUs it takes.
        tell: Told in a line when a worker is lost or waited for.

    Raises:
        ClusterError: If Ray is not installed, there is no cluster at the address, it does not fit
            this process, or has no room for the workers.
        ConfigurationError: If a number is too low.
    """
    places = Places(workers=workers, threads=threads_per_worker, gpus=gpus_per_worker)
    return ClusterExecutor(RayEngine(address, places, tell), tell)
