/** `npm run test:cluster [-- vitest arguments]`: vitest against a real control plane, in a network namespace of its own. */
import { runInCluster } from './control-plane/in-cluster.ts';

const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'vitest.cluster.config.ts'];
process.exitCode = await runInCluster('test:cluster', [...vitest, ...process.argv.slice(2)]);
