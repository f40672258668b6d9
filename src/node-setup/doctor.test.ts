import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { doctor, type Finding, type Patient } from './doctor.ts';
import { install } from './install.ts';
import { NodeFiles } from './node-files.ts';
import { NODE_PATHS } from './node-paths.ts';

const OUTPUTS: Readonly<Record<string, string>> = {
  'criu --version': 'Version: 4.2.1\nGitID: v4.2.1\n',
  'criu check': 'Looks good.\n',
  '/usr/sbin/runc --version': 'runc version 1.3.7+ds1\ncommit: 1.3.7\ngo: go1.26.5\n',
  'tar --version': 'tar (GNU tar) 1.35\n',
  'tar --help': '      --xattrs               Enable extended attributes support\n',
};

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'doctor-'));
  put('/usr/sbin/runc', '', 0o755);
  put('/proc/filesystems', 'nodev\tproc\nnodev\toverlay\n');
  put('/sys/fs/cgroup/cgroup.controllers', 'memory');
  put(NODE_PATHS.containerdConfig, 'version = 3\n');
  install({ root, dryRun: false, containerdMajor: () => null });
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

function put(path: string, text: string, mode = 0o644): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text, { mode });
}

/** `outputs`: what commands say; null: there is no such command. A text that begins with "Error" is a failure. */
function examine(outputs: Readonly<Record<string, string | null>> = {}, more: Partial<Patient> = {}): Finding[] {
  return doctor({
    files: new NodeFiles(root),
    run: (command, args) => {
      const output = { ...OUTPUTS, ...outputs }[[command, ...args].join(' ')] ?? null;
      return output === null ? null : { ok: !output.startsWith('Error'), output };
    },
    freeBytes: () => 50 * 1024 ** 3,
    kernel: '6.18.4-generic',
    ...more,
  });
}

function troubles(findings: readonly Finding[]): string[] {
  return findings.filter(({ state }) => state !== 'ok').map(({ check, state }) => `${check} ${state}`);
}

describe('doctor', () => {
  it('lists saved pods whose PodCheckpoint nobody knows', () => {
    const folder = `${NODE_PATHS.state}/checkpoints`;
    put(`${folder}/default_a_1/unknown-since`, '2026-01-01T00:00:00.000Z');
    put(`${folder}/default_b_2/manifest.json`, '{}');
    const found = examine().find(({ check }) => check === 'saved pods')?.found;
    expect(found).toBe(`PodCheckpoint unknown: ${folder}/default_a_1 since 2026-01-01T00:00:00.000Z`);
  });

  it('finds nothing wrong with a node that was installed', () => {
    const findings = examine();
    expect(troubles(findings)).toEqual([]);
    expect(findings.every(({ remedy }) => remedy === null)).toBe(true);
  });

  it.each<[string, Readonly<Record<string, string | null>>, string[]]>([
    ['no criu', { 'criu --version': null, 'criu check': null }, ['criu missing', 'criu check missing']],
    ['an old criu', { 'criu --version': 'Version: 3.17\n' }, ['criu missing']],
    [
      'a kernel that lacks something',
      { 'criu check': 'Error (criu/tun.c:85): no tun\nWarn: x\n' },
      ['criu check missing'],
    ],
    ['no runc', { '/usr/sbin/runc --version': null }, ['runtime missing']],
    ['runc 1.1', { '/usr/sbin/runc --version': 'runc version 1.1.15\n' }, ['runtime missing']],
    ['runc 1.2.9', { '/usr/sbin/runc --version': 'runc version 1.2.9\n' }, ['runtime warning']],
    ['runc 1.3.6', { '/usr/sbin/runc --version': 'runc version 1.3.6+ds1\n' }, ['runtime warning']],
    ['runc 1.4.3', { '/usr/sbin/runc --version': 'runc version 1.4.3\n' }, ['runtime warning']],
    ['runc 1.4.4', { '/usr/sbin/runc --version': 'runc version 1.4.4\n' }, []],
    ['runc 1.5.2', { '/usr/sbin/runc --version': 'runc version 1.5.2\n' }, ['runtime warning']],
    ['runc 1.6.0', { '/usr/sbin/runc --version': 'runc version 1.6.0\n' }, []],
    ['crun', { '/usr/sbin/runc --version': 'crun version 1.31\n' }, ['runtime warning']],
    ['busybox tar', { 'tar --version': 'tar (busybox) 1.37.0\n' }, ['tar missing']],
    ['a tar without xattrs', { 'tar --help': '' }, ['tar missing']],
  ])('says what to do about %s', (_, outputs, want) => {
    const findings = examine(outputs);
    expect(troubles(findings)).toEqual(want);
    expect(findings.every(({ state, remedy }) => (state === 'ok') === (remedy === null))).toBe(true);
  });

  it.each<[string, () => void, string[]]>([
    ['no wrapper', () => rmSync(join(root, NODE_PATHS.wrapper)), ['runtime missing', 'wrapper missing']],
    [
      'a wrapper of another version',
      () => put(NODE_PATHS.wrapper, '#!/bin/sh\nruntime=/usr/sbin/runc\n'),
      ['wrapper missing'],
    ],
    ['no drop-in', () => rmSync(join(root, NODE_PATHS.dropIn)), ['containerd missing']],
    ['no import', () => put(NODE_PATHS.containerdConfig, 'version = 3\n'), ['containerd missing']],
    ['no configuration', () => rmSync(join(root, NODE_PATHS.containerdConfig)), ['containerd missing']],
    [
      'a configuration that was migrated',
      () => put(NODE_PATHS.containerdConfig, 'imports = ["conf.d/*.toml"]\nversion = 4\n'),
      ['containerd missing'],
    ],
    [
      'a drop-in without annotations',
      () =>
        put(
          NODE_PATHS.dropIn,
          'version = 3\n[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.reprieve.options]\nBinaryName = "/usr/local/bin/reprieve-runc"\n',
        ),
      ['containerd missing'],
    ],
    ['no options for CRIU', () => put(NODE_PATHS.criuConfig, '#tcp-close\n'), ['criu options missing']],
    ['no overlay', () => put('/proc/filesystems', 'nodev\tproc\n'), ['overlay missing']],
    ['no freezer', () => rmSync(join(root, '/sys'), { recursive: true }), ['cgroups missing']],
  ])('sees that there is %s', (_, spoil, want) => {
    spoil();
    expect(troubles(examine())).toEqual(want);
  });

  it('sees a full disk, and a kernel that is too old', () => {
    expect(troubles(examine({}, { freeBytes: () => 1024 ** 3 }))).toEqual(['space warning']);
    expect(troubles(examine({}, { kernel: '3.10.0-1160.el7' }))).toEqual(['kernel missing']);
  });
});
