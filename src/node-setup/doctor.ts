import { spawnSync } from 'node:child_process';
import { statfsSync } from 'node:fs';
import { release } from 'node:os';
import { importsDropIn, HANDLER, readContainerdConfig, standsAlone } from './containerd-config.ts';
import { missingCriuOptions } from './criu-config.ts';
import { itemsFor } from './items.ts';
import { NodeFiles } from './node-files.ts';
import { NODE_PATHS } from './node-paths.ts';
import { UNKNOWN_FILE } from '../agent/pods/hold-record.ts';
import { checkpointsFolder } from '../agent/state/layout.ts';
import { isAtLeast, versionIn, type Version } from '../agent/probe/version.ts';

/** One line of the doctor's list. `missing`: nothing can be saved or restored without it. */
export interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'warning' | 'missing';
  /** What there is. */
  readonly found: string;
  /** What to do; null when all is well. */
  readonly remedy: string | null;
}

/** The running node; a test puts others in its place. */
export interface Patient {
  readonly files: NodeFiles;
  /** Output of a command, both streams; null when it cannot be run. */
  readonly run: (command: string, args: readonly string[]) => { readonly ok: boolean; readonly output: string } | null;
  readonly freeBytes: (path: string) => number;
  readonly kernel: string;
}

/** The memory of one pod of common size: below it hardly any can be saved. */
const SPACE_BYTES = 2 * 1024 ** 3;
const INSTALL = 'reprieve node install';

/** Looks whether this node can save and restore pods. Changes nothing. */
export function doctor(patient: Patient = thisNode()): Finding[] {
  return [
    criu(patient),
    criuCheck(patient),
    criuOptions(patient),
    runtime(patient),
    wrapper(patient),
    handler(patient),
    tar(patient),
    space(patient),
    ...unknownStates(patient),
    cgroups(patient),
    kernel(patient),
    overlay(patient),
  ];
}

function criu({ run }: Patient): Finding {
  const version = versionIn(run('criu', ['--version'])?.output ?? '');
  if (version === null)
    return missing('criu', 'not found', 'install criu 4.2 or later, where containerd finds it (its PATH)');
  if (isAtLeast(version, [4, 2, 0])) return ok('criu', version.join('.'));
  return missing('criu', version.join('.'), 'install criu 4.2 or later: earlier ones fail on current kernels');
}

function criuCheck({ run }: Patient): Finding {
  const result = run('criu', ['check']);
  if (result === null) return missing('criu check', 'criu not found', 'install criu');
  if (result.ok) return ok('criu check', 'the kernel has what CRIU needs');
  const error = result.output.split('\n').find((line) => line.startsWith('Error'));
  return missing('criu check', error ?? 'failed', 'run: criu check, as root, and see what the kernel lacks');
}

function criuOptions({ files }: Patient): Finding {
  const lacking = missingCriuOptions(files.read(NODE_PATHS.criuConfig) ?? '');
  if (lacking.length === 0) return ok('criu options', NODE_PATHS.criuConfig);
  return missing(
    'criu options',
    `${NODE_PATHS.criuConfig} lacks ${lacking.join(', ')}: pods with connections, locks or deleted files cannot be saved`,
    INSTALL,
  );
}

function runtime({ files, run }: Patient): Finding {
  // As the wrapper has it; before it is installed, what would become of it.
  const path = /^runtime=(\S+)/m.exec(files.read(NODE_PATHS.wrapper) ?? '')?.[1] ?? 'runc';
  const output = run(path, ['--version'])?.output ?? '';
  const version = versionIn(output);
  if (version === null) return missing('runtime', `${path} not found`, 'install runc 1.3.7 or later');
  const found = `${path} ${version.join('.')}`;
  if (!/^runc /m.test(output))
    return {
      check: 'runtime',
      state: 'warning',
      found,
      remedy: 'only runc has been tried: install runc 1.3.7 or later',
    };
  if (!isAtLeast(version, [1, 2, 0])) return missing('runtime', found, 'install runc 1.3.7 or later');
  if (!isMended(version)) {
    const remedy =
      'has CVE-2026-119101 (a restore can mount any folder of the host): update to 1.3.7, 1.4.4, 1.5.3 or later';
    return { check: 'runtime', state: 'warning', found, remedy };
  }
  return ok('runtime', found);
}

/** CVE-2026-119101 was mended in 1.3.7, 1.4.4 and 1.5.3. */
function isMended(version: Version): boolean {
  const [major, minor, patch] = version;
  if (major === 1 && minor === 3) return patch >= 7;
  if (major === 1 && minor === 4) return patch >= 4;
  return isAtLeast(version, [1, 5, 3]);
}

function wrapper({ files }: Patient): Finding {
  const text = files.read(NODE_PATHS.wrapper);
  if (text === null) return missing('wrapper', `no ${NODE_PATHS.wrapper}`, INSTALL);
  if (((files.mode(NODE_PATHS.wrapper) ?? 0) & 0o111) === 0) return missing('wrapper', 'not executable', INSTALL);
  const runtime = /^runtime=(\S+)/m.exec(text)?.[1];
  const wanted = itemsFor(files, { containerdMajor: () => null, ...(runtime !== undefined && { runtime }) })[0];
  if (wanted?.wanted(text) !== text) return missing('wrapper', `${NODE_PATHS.wrapper} is of another version`, INSTALL);
  return ok('wrapper', NODE_PATHS.wrapper);
}

function handler({ files }: Patient): Finding {
  const path = NODE_PATHS.containerdConfig;
  const text = files.read(path);
  if (text === null) return missing('containerd', `no ${path}`, INSTALL);
  const main = readContainerdConfig(text, path);
  const isSeparate = standsAlone(main.version) && !(HANDLER in main.handlers);
  const part = isSeparate ? files.read(NODE_PATHS.dropIn) : text;
  const where = isSeparate ? NODE_PATHS.dropIn : path;
  const config = part === null ? null : readContainerdConfig(part, where);
  const found = config?.handlers[HANDLER];
  if (config === null || found === undefined) return missing('containerd', `no runtime handler "${HANDLER}"`, INSTALL);
  if (isSeparate && !importsDropIn(main)) return missing('containerd', `${path} does not import ${where}`, INSTALL);
  if (isSeparate && config.version !== main.version) {
    return missing('containerd', `${where} is of version ${config.version}, ${path} of ${main.version}`, INSTALL);
  }
  if (
    found.binaryName !== NODE_PATHS.wrapper ||
    !found.podAnnotations.some((key) => ['reprieve.dev/*', '*'].includes(key))
  ) {
    return missing('containerd', `the runtime handler in ${where} is not as it should be`, INSTALL);
  }
  return ok('containerd', `runtime handler "${HANDLER}" in ${where}`);
}

function tar({ run }: Patient): Finding {
  const output = run('tar', ['--version'])?.output ?? '';
  if (!output.includes('GNU tar')) return missing('tar', 'not GNU tar', 'install GNU tar');
  const has = (run('tar', ['--help'])?.output ?? '').includes('--xattrs');
  return has
    ? ok('tar', `GNU tar ${versionIn(output)?.join('.') ?? ''}`)
    : missing('tar', 'without --xattrs', 'install GNU tar 1.27 or later');
}

function space({ files, freeBytes }: Patient): Finding {
  const folder = files.mode(NODE_PATHS.state) === null ? '/' : NODE_PATHS.state;
  const free = freeBytes(files.at(folder));
  const found = `${(free / 1024 ** 3).toFixed(1)} GiB free for ${NODE_PATHS.state}`;
  if (free >= SPACE_BYTES) return ok('space', found);
  return {
    check: 'space',
    state: 'warning',
    found,
    remedy: 'a saved pod takes about as much as its memory: make room',
  };
}

/** What the agent keeps for `agent.keepUnknown`; nothing where there is none. */
function unknownStates({ files }: Patient): Finding[] {
  const folder = checkpointsFolder(NODE_PATHS.state);
  const unknown = files.names(folder).flatMap((name) => {
    const since = files.read(`${folder}/${name}/${UNKNOWN_FILE}`);
    return since === null ? [] : [`${folder}/${name} since ${since}`];
  });
  if (unknown.length === 0) return [];
  const found = `PodCheckpoint unknown: ${unknown.join(', ')}`;
  const remedy = 'the agent removes these states after agent.keepUnknown: copy what is still needed';
  return [{ check: 'saved pods', state: 'warning', found, remedy }];
}

function cgroups({ files }: Patient): Finding {
  if (files.mode('/sys/fs/cgroup/cgroup.controllers') !== null) return ok('cgroups', 'version 2');
  if (files.mode('/sys/fs/cgroup/freezer') !== null) return ok('cgroups', 'version 1, with a freezer');
  return missing(
    'cgroups',
    'no freezer',
    'mount cgroup version 2, or the freezer of version 1: pods are frozen with it',
  );
}

function kernel({ kernel }: Patient): Finding {
  const version = versionIn(kernel);
  // What CRIU's own documentation asks for.
  if (version !== null && isAtLeast(version, [3, 11, 0])) return ok('kernel', kernel);
  return missing('kernel', kernel, 'run Linux 3.11 or later');
}

function overlay({ files }: Patient): Finding {
  const has = /\boverlay$/m.test(files.read('/proc/filesystems') ?? '');
  return has
    ? ok('overlay', 'known to the kernel')
    : missing('overlay', 'not known to the kernel', 'run: modprobe overlay');
}

function ok(check: string, found: string): Finding {
  return { check, state: 'ok', found, remedy: null };
}

function missing(check: string, found: string, remedy: string): Finding {
  return { check, state: 'missing', found, remedy };
}

function thisNode(): Patient {
  const env = {
    ...process.env,
    PATH: `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin`,
  };
  return {
    files: new NodeFiles('/'),
    run: (command, args) => {
      const { error, status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', env });
      return error ? null : { ok: status === 0, output: `${stdout}${stderr}` };
    },
    freeBytes: (path) => {
      const { bavail, bsize } = statfsSync(path);
      return bavail * bsize;
    },
    kernel: release(),
  };
}
