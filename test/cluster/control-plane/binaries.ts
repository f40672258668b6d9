import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder } from './cache.ts';
import { runCommand } from './command.ts';
import { withLock } from './lock.ts';
import { etcdRecipe, kubeletRecipe, kubernetesRecipe, recipeHash, wrapperGoMod, type Recipe } from './recipe.ts';

/** Paths of the programs of a control plane. */
export interface Binaries {
  readonly kubernetesVersion: string;
  readonly etcd: string;
  readonly apiServer: string;
  readonly scheduler: string;
  readonly controllerManager: string;
  readonly kubectl: string;
}

/** What `npm run test:cluster` runs against unless REPRIEVE_KUBERNETES_VERSION says otherwise. */
const defaultKubernetesVersion = '1.37.2';

/** The same for every Kubernetes version; kubeadm 1.37 itself would take 3.7.0. */
const etcdVersion = '3.6.16';

export interface BuildOptions {
  /** One line per program built. */
  readonly log: (line: string) => void;
  readonly signal?: AbortSignal;
}

function wantedKubernetesVersion(): string {
  return process.env['REPRIEVE_KUBERNETES_VERSION'] || defaultKubernetesVersion;
}

/** Where the programs are, whether built or not. */
export function binariesOf(kubernetesVersion = wantedKubernetesVersion()): Binaries {
  const kubernetes = folderOf(kubernetesRecipe(kubernetesVersion));
  return {
    kubernetesVersion,
    etcd: join(folderOf(etcdRecipe(etcdVersion)), 'etcd'),
    apiServer: join(kubernetes, 'kube-apiserver'),
    scheduler: join(kubernetes, 'kube-scheduler'),
    controllerManager: join(kubernetes, 'kube-controller-manager'),
    kubectl: join(kubernetes, 'kubectl'),
  };
}

/** Builds what the cache lacks. Needs Go and its module proxy, so it runs before the network is cut off. */
export async function buildBinaries(
  options: BuildOptions,
  kubernetesVersion = wantedKubernetesVersion(),
): Promise<void> {
  // One after the other: Go already uses every core, and the linker of kube-apiserver alone takes 2.7 GB.
  await build(etcdRecipe(etcdVersion), options);
  await build(kubernetesRecipe(kubernetesVersion), options);
}

/** Where the kubelet of that version is, whether built or not. */
export function kubeletPath(kubernetesVersion = wantedKubernetesVersion()): string {
  return join(folderOf(kubeletRecipe(kubernetesVersion)), 'kubelet');
}

/** For real nodes alone; shares its compiled packages with {@link buildBinaries}. */
export async function buildKubelet(
  options: BuildOptions,
  kubernetesVersion = wantedKubernetesVersion(),
): Promise<void> {
  await build(kubeletRecipe(kubernetesVersion), options);
}

function folderOf(recipe: Recipe): string {
  return join(cacheFolder(), 'bin', recipe.name);
}

/** A folder appears under its final name only when complete, so a build that was cut short leaves nothing to trust. */
async function build(recipe: Recipe, { log, signal }: BuildOptions): Promise<void> {
  const folder = folderOf(recipe);
  if (await isCurrent(recipe)) return;
  await mkdir(join(folder, '..'), { recursive: true });
  await withLock(folder, signal, async () => {
    if (await isCurrent(recipe)) return; // another process built it while we waited
    const building = `${folder}.building`;
    const source = join(building, 'source');
    await rm(building, { recursive: true, force: true });
    await mkdir(source, { recursive: true });
    try {
      const options = { cwd: source, env: { ...process.env, ...recipe.environment }, ...(signal && { signal }) };
      log(`building ${recipe.name} from Go modules (once; about 6 minutes for Kubernetes on 2 cores)`);
      await writeFile(join(source, 'go.mod'), await wrapperGoMod(recipe, options));
      for (const [program, mainPackage] of Object.entries(recipe.programs)) {
        const startedMs = Date.now();
        await runCommand('go', ['build', ...recipe.buildFlags, '-o', join(building, program), mainPackage], options);
        log(`built ${recipe.name}/${program} in ${((Date.now() - startedMs) / 1000).toFixed(0)} s`);
      }
      await rm(source, { recursive: true });
      await writeFile(join(building, stampName), recipeHash(recipe));
      await rm(folder, { recursive: true, force: true });
      await rename(building, folder);
    } finally {
      await rm(building, { recursive: true, force: true });
    }
  });
}

const stampName = 'recipe.sha256';

async function isCurrent(recipe: Recipe): Promise<boolean> {
  const stamp = await readFile(join(folderOf(recipe), stampName), 'utf8').catch(() => '');
  return stamp === recipeHash(recipe);
}
