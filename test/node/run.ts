/** `npm run test:node [-- vitest arguments]`: vitest against real nodes under a real control plane, on this one machine. */
import { runInCluster } from '../cluster/control-plane/in-cluster.ts';
import { NODE_SETTING } from './bed/setting.ts';

const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'vitest.node.config.ts'];
process.exitCode = await runInCluster('test:node', [...vitest, ...process.argv.slice(2)], NODE_SETTING);
