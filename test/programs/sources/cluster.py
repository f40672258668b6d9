import time

from dask.distributed import Client, LocalCluster
from facts import tell


def square(n):
    time.sleep(0.01)
    return n * n


if __name__ == '__main__':
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=None)
    client = Client(cluster)
    held = client.submit(sum, range(1000))
    rounds = 0
    while True:
        total = sum(client.gather(client.map(square, range(rounds, rounds + 20))))
        assert total == sum(n * n for n in range(rounds, rounds + 20))
        rounds += 1
        tell(rounds=rounds, held=held.result(), scheduler=cluster.scheduler.id)
