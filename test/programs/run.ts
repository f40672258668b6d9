/**
 * `npm run test:programs [-- --sample | SLUG...] [--record]`: programs that people run, each displaced under load between two real
 * nodes and judged by its own state. `--record` keeps the results, from which `report.ts` makes docs/compatibility.md.
 */
import { runInCluster } from '../cluster/control-plane/in-cluster.ts';
import { buildArchive } from '../node/bed/images.ts';
import { NODE_SETTING } from '../node/bed/setting.ts';
import { archiveOf } from './images.ts';
import { chosen, treesOf } from './table.ts';
import { buildProgramsTree } from './trees.ts';

const args = process.argv.slice(2);
const trees = treesOf(chosen(args));
process.exitCode = await runInCluster('test:programs', ['test/programs/driver.ts', ...args], {
  ...NODE_SETTING,
  build: async (options) => {
    await NODE_SETTING.build(options);
    for (const tree of trees) {
      await buildProgramsTree(tree, options);
      await buildArchive(archiveOf(tree));
    }
  },
});
