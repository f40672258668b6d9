/** `npm run bench:node [-- --sizes 64,512 --rounds 3]`: what saving, restoring and preempting take on real nodes. */
import { runInCluster } from '../../test/cluster/control-plane/in-cluster.ts';
import { NODE_SETTING } from '../../test/node/bed/setting.ts';

process.exitCode = await runInCluster(
  'bench:node',
  ['benchmarks/node/compare.ts', ...process.argv.slice(2)],
  NODE_SETTING,
);
