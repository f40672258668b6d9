/** `npm run bench:cluster`: what preemption and a change of leaders take under a real control plane. */
import { runInCluster } from '../../test/cluster/control-plane/in-cluster.ts';

process.exitCode = await runInCluster('bench:cluster', ['benchmarks/cluster/latency.ts']);
