import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { runCommand } from './command.ts';

/** How one folder of programs is built from one Go module. Plain data, so that its hash says whether a build is current. */
export interface Recipe {
  /** Folder in the cache, and the first word of progress lines. */
  readonly name: string;
  readonly module: string;
  readonly version: string;
  /** program -> package main */
  readonly programs: Readonly<Record<string, string>>;
  readonly buildFlags: readonly string[];
  /** Added to the caller's environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** The version at which the modules of the module's own tree are published, where it requires them at v0.0.0. */
  readonly stagingVersion?: string;
}

/** `version` is a released one, as `1.37.2`. */
export function kubernetesRecipe(version: string): Recipe {
  const programs = ['kubectl', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'];
  return fromKubernetes(`kubernetes-${version}`, version, programs);
}

/** On its own: who needs no nodes need not wait for it, and the folder of the others stays current. */
export function kubeletRecipe(version: string): Recipe {
  return fromKubernetes(`kubelet-${version}`, version, ['kubelet']);
}

function fromKubernetes(name: string, version: string, programs: readonly string[]): Recipe {
  const [major, minor, patch] = version.split('.');
  if (major !== '1' || minor === undefined || patch === undefined)
    throw new Error(`Kubernetes version ${version}: expected the form 1.MINOR.PATCH`);
  const stamp = {
    gitVersion: `v${version}`,
    gitMajor: major,
    gitMinor: minor,
    gitCommit: 'module',
    gitTreeState: 'clean',
  };
  return {
    name,
    module: 'k8s.io/kubernetes',
    version,
    programs: Object.fromEntries(programs.map((program) => [program, `k8s.io/kubernetes/cmd/${program}`])),
    buildFlags: buildFlags(
      Object.entries(stamp).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`),
    ),
    environment,
    stagingVersion: `v0.${minor}.${patch}`,
  };
}

export function etcdRecipe(version: string): Recipe {
  return {
    name: `etcd-${version}`,
    module: 'go.etcd.io/etcd/server/v3',
    version,
    programs: { etcd: 'go.etcd.io/etcd/server/v3' },
    buildFlags: buildFlags([]),
    environment,
  };
}

/** Static programs, and no workspace file of the caller's that could replace modules. */
const environment = { CGO_ENABLED: '0', GOWORK: 'off' };

/** No paths and no symbols of the building machine: smaller, and the Go build cache is hit from any folder. */
function buildFlags(linkerFlags: readonly string[]): readonly string[] {
  return ['-mod=mod', '-trimpath', '-buildvcs=false', '-ldflags', ['-s', '-w', ...linkerFlags].join(' ')];
}

/** A folder built under another hash is built again. */
export function recipeHash(recipe: Recipe): string {
  return createHash('sha256').update(JSON.stringify(recipe)).digest('hex');
}

/** The go.mod of a wrapper module that requires the recipe's module, so that its main packages can be built. */
export async function wrapperGoMod(recipe: Recipe, options: { cwd: string; signal?: AbortSignal }): Promise<string> {
  const download = await runCommand('go', ['mod', 'download', '-json', `${recipe.module}@v${recipe.version}`], options);
  const goMod = await readFile((JSON.parse(download) as { GoMod: string }).GoMod, 'utf8');
  const { stagingVersion } = recipe;
  const staging = stagingVersion === undefined ? [] : stagingModules(goMod);
  return [
    'module reprieve.invalid/build',
    // The module's own language version: it decides over defaults of the Go runtime.
    /^go .*$/m.exec(goMod)?.[0] ?? '',
    `require ${recipe.module} v${recipe.version}`,
    ...staging.map((path) => `replace ${path} => ${path} ${stagingVersion}`),
    '',
  ].join('\n');
}

/** Modules required at exactly v0.0.0. One with a pseudo-version (`k8s.io/utils v0.0.0-2026…`) has a home of its own. */
function stagingModules(goMod: string): string[] {
  const required = goMod.matchAll(/^\s*(?:require\s+)?(k8s\.io\/[a-z0-9-]+) v0\.0\.0(?:\s*\/\/.*)?$/gm);
  return [...required].map(([, path]) => path as string);
}
