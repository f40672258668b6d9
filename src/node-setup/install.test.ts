import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { install } from './install.ts';
import { NODE_PATHS } from './node-paths.ts';
import { uninstall } from './uninstall.ts';

const V3 =
  'version = 3\n[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]\nSystemdCgroup = true\n';
const V2 = V3.replace('3', '2').replace('io.containerd.cri.v1.runtime', 'io.containerd.grpc.v1.cri');

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'node-'));
  put('/usr/bin/runc', '#!', 0o755);
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

function put(path: string, text: string, mode = 0o644): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text, { mode });
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

function installed(options: { runtime?: string; dryRun?: boolean; major?: number } = {}): string[] {
  const { runtime, dryRun = false, major } = options;
  const { outcomes } = install({ root, dryRun, containerdMajor: () => major ?? null, ...(runtime && { runtime }) });
  return outcomes.map(({ path, outcome }) => `${outcome} ${path}`);
}

function uninstalled(dryRun = false): string[] {
  return uninstall({ root, dryRun }).map(({ path, outcome }) => `${outcome} ${path}`);
}

/** Every file and folder below the root, with its text. */
function tree(): Record<string, string> {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true });
  return Object.fromEntries(
    entries.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [path, entry.isDirectory() ? '/' : readFileSync(path, 'utf8')];
    }),
  );
}

/** What the node may have before. */
const NODES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'without a configuration': {},
  'of containerd 2': { [NODE_PATHS.containerdConfig]: V3 },
  'of containerd 2 with imports': { [NODE_PATHS.containerdConfig]: `imports = ["/a.toml"]\n${V3}` },
  'of containerd 1.7': { [NODE_PATHS.containerdConfig]: V2 },
  'with options for CRIU': {
    [NODE_PATHS.containerdConfig]: V3,
    [NODE_PATHS.criuConfig]: 'log-level 4\nskip-in-flight',
  },
  'with tcp-close': { [NODE_PATHS.containerdConfig]: V3, [NODE_PATHS.criuConfig]: 'tcp-close # theirs\n' },
  'with another drop-in': { [NODE_PATHS.containerdConfig]: V3, '/etc/containerd/conf.d/gpu.toml': 'version = 3\n' },
};

describe('reprieve node install', () => {
  it.each(Object.keys(NODES))('on a node %s: once, and back to what it was', (name) => {
    for (const [path, text] of Object.entries(NODES[name] as Record<string, string>)) put(path, text);
    const before = tree();
    const planned = installed({ dryRun: true });
    expect(tree()).toEqual(before);
    expect(installed()).toEqual(planned);
    expect(planned.some((line) => line.startsWith('written'))).toBe(true);
    const after = tree();
    expect(installed().every((line) => line.startsWith('unchanged'))).toBe(true);
    expect(tree()).toEqual(after);
    const taken = uninstalled(true);
    expect(tree()).toEqual(after);
    expect(uninstalled()).toEqual(taken);
    expect(tree()).toEqual(before);
    expect(uninstalled()).toEqual([]);
  });

  it('bakes the runtime into an executable wrapper, and keeps its folder to root', () => {
    installed();
    expect(read(NODE_PATHS.wrapper)).toContain('\nruntime=/usr/bin/runc\n');
    expect(statSync(join(root, NODE_PATHS.wrapper)).mode & 0o777).toBe(0o755);
    expect(statSync(join(root, NODE_PATHS.state)).mode & 0o777).toBe(0o700);
    put('/opt/crun', '', 0o755);
    expect(installed({ runtime: '/opt/crun' })).toContain(`written ${NODE_PATHS.wrapper}`);
    expect(read(NODE_PATHS.wrapper)).toContain('\nruntime=/opt/crun\n');
  });

  it('takes the runtime that containerd uses', () => {
    put('/usr/local/sbin/runc', '', 0o755);
    put(NODE_PATHS.containerdConfig, `${V3}BinaryName = "/usr/local/sbin/runc"\n`);
    installed();
    expect(read(NODE_PATHS.wrapper)).toContain('\nruntime=/usr/local/sbin/runc\n');
  });

  it('copies the cgroup driver, and the version of the main file', () => {
    put(NODE_PATHS.containerdConfig, V3.replace('3', '4'));
    installed();
    expect(read(NODE_PATHS.dropIn)).toContain('version = 4\n');
    expect(read(NODE_PATHS.dropIn)).toContain('SystemdCgroup = true\n');
  });

  it('writes version 2 for containerd 1 where there is no configuration', () => {
    installed({ major: 1 });
    expect(read(NODE_PATHS.containerdConfig)).toMatch(/^version = 2\n/);
    expect(existsSync(join(root, NODE_PATHS.dropIn))).toBe(false);
  });

  it.each<[string, string, () => void]>([
    ['RuntimeNotFound', 'a runtime is missing', () => rmSync(join(root, '/usr/bin/runc'))],
    [
      'ContainerdConfigOutdated',
      'containerd’s configuration is too old',
      () => put(NODE_PATHS.containerdConfig, 'a = 1\n'),
    ],
    ['ContainerdConfigInvalid', 'containerd’s configuration is broken', () => put(NODE_PATHS.containerdConfig, '[')],
    ['NodeFileUnusable', 'a file is a folder', () => mkdirSync(join(root, NODE_PATHS.criuConfig), { recursive: true })],
  ])('changes nothing and says %s when %s', (code, _, spoil) => {
    spoil();
    const before = readdirSync(root, { recursive: true });
    expect(() => installed()).toThrow(expect.objectContaining({ code }));
    expect(readdirSync(root, { recursive: true })).toEqual(before);
  });
});

describe('reprieve node uninstall', () => {
  it('keeps what others changed since', () => {
    put(NODE_PATHS.containerdConfig, V3);
    put(NODE_PATHS.criuConfig, 'log-level 4\n');
    installed();
    for (const path of [NODE_PATHS.containerdConfig, NODE_PATHS.criuConfig, NODE_PATHS.dropIn]) {
      put(path, `${read(path)}# theirs\n`);
    }
    expect(uninstalled()).toEqual([
      `removed ${NODE_PATHS.criuConfig}`,
      `removed ${NODE_PATHS.containerdConfig}`,
      `kept ${NODE_PATHS.dropIn}`,
      `removed ${NODE_PATHS.wrapper}`,
    ]);
    expect(read(NODE_PATHS.containerdConfig)).toBe(`${V3}# theirs\n`);
    expect(read(NODE_PATHS.criuConfig)).toBe('log-level 4\n# theirs\n');
    expect(read(`${NODE_PATHS.containerdConfig}.before-reprieve`)).toBe(V3);
    expect(read(NODE_PATHS.dropIn)).toContain('# theirs\n');
  });

  it('leaves the wrapper as long as containers run with it', () => {
    installed();
    const options = join(NODE_PATHS.bundles, 'abc/options.json');
    put(options, JSON.stringify({ binary_name: NODE_PATHS.wrapper }));
    expect(uninstalled()).toContain(`kept ${NODE_PATHS.wrapper}`);
    expect(uninstalled()).toEqual([`kept ${NODE_PATHS.wrapper}`]);
    rmSync(join(root, options));
    expect(uninstalled()).toEqual([`removed ${NODE_PATHS.wrapper}`]);
    expect(existsSync(join(root, NODE_PATHS.state))).toBe(false);
  });

  it('never removes the folder of saved pods with something in it', () => {
    installed();
    put(`${NODE_PATHS.state}/checkpoints/x/manifest.json`, '{}');
    uninstalled();
    expect(read(`${NODE_PATHS.state}/checkpoints/x/manifest.json`)).toBe('{}');
  });
});
