import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder } from '../../test/cluster/control-plane/cache.ts';
import { runCommand } from '../../test/cluster/control-plane/command.ts';

const SOURCE = join(import.meta.dirname, 'null-extender', 'main.go');
/** The module of `k8s.io/kube-scheduler/extender/v1`, as kube-scheduler 1.37 is built with. */
const MODULE = 'k8s.io/kube-scheduler@v0.37.2';

/** The path of the null extender in Go; built where the cache has none of this source (about a minute). Needs Go and its module proxy. */
export async function nullGoExtender(log: (line: string) => void): Promise<string> {
  const hash = createHash('sha256')
    .update(MODULE)
    .update(await readFile(SOURCE))
    .digest('hex');
  const folder = join(cacheFolder(), 'bin', `null-extender-${hash.slice(0, 12)}`);
  const program = join(folder, 'null-extender');
  if (existsSync(program)) return program;
  log('building the null extender from Go modules (once)');
  const building = `${folder}.${process.pid}`;
  await mkdir(building, { recursive: true });
  try {
    await copyFile(SOURCE, join(building, 'main.go'));
    await writeFile(join(building, 'go.mod'), 'module reprieve.invalid/null-extender\n\ngo 1.25\n');
    const options = { cwd: building, env: { ...process.env, CGO_ENABLED: '0', GOWORK: 'off' } };
    await runCommand('go', ['get', MODULE], options);
    await runCommand('go', ['mod', 'tidy'], options);
    await runCommand('go', ['build', '-trimpath', '-buildvcs=false', '-o', 'null-extender', '.'], options);
    await rename(building, folder);
  } finally {
    await rm(building, { recursive: true, force: true });
  }
  return program;
}
