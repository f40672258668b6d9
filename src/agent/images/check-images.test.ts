import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { OciSpec } from '../runtime/oci-spec.ts';
import { checkImages } from './check-images.ts';
import type { ContainerRights } from './container-rights.ts';
import { editImage, type Edited } from './edit-image.ts';

/**
 * The images of a container of two processes (runc 1.3.6, CRIU 4.2.1), without its pages, and what it was made of: the default
 * capabilities, masked paths and mounts of a pod, a profile that refuses bpf and kexec_load.
 */
const FIXTURES = join(dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url))))), 'test/fixtures');
const SPEC = JSON.parse(await readFile(join(FIXTURES, 'criu-config.json'), 'utf8')) as OciSpec;
const ALL = 0xffffffff;
/** ULONG_MAX - 2^24: what the kernel allows of shared memory. */
const SHM_MOST = Number(2n ** 64n - 1n - 2n ** 24n);

function rights(spec: Partial<OciSpec> = {}): ContainerRights {
  const ipc = [32_000, 1_024_000_000, 500, 32_000, 8192, 16_384, 32_000];
  return {
    spec: { ...SPEC, ...spec },
    runtime: { nice: 0, loginuid: ALL, limits: new Map([[8, 8_388_608]]) },
    ipc: [...ipc, SHM_MOST, SHM_MOST, 4096, 0, 256, 10, 8192, 10, 8192],
    // Of the kernel on which it was made.
    exists: (path) =>
      [
        '/sys/firmware',
        '/proc/acpi',
        '/proc/keys',
        '/proc/timer_list',
        '/proc/bus',
        '/proc/fs',
        '/proc/irq',
        '/proc/sys',
      ].includes(path),
  };
}

function without(capability: string): Readonly<Record<string, readonly string[]>> {
  const sets = Object.entries(SPEC.process?.capabilities ?? {});
  return Object.fromEntries(sets.map(([set, names]) => [set, names.filter((name) => name !== capability)]));
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'images-'));
  await cp(join(FIXTURES, 'criu'), folder, { recursive: true });
});
afterEach(() => rm(folder, { recursive: true }));

async function edit(name: string, message: number, path: readonly number[], value: Edited): Promise<void> {
  const file = join(folder, name);
  await writeFile(file, editImage(await readFile(file), message, path, value));
}

/** Numbers of fields: see `messages.ts`. */
const THREAD = 5;
const TASK = 3;
const CREDENTIALS = [THREAD, 10];
const CORE = 'core-9.img';
const MOUNTS = 'mountpoints-13.img';
/** Which messages of mountpoints-13.img and files.img are what. */
const AT = {
  firmware: 0,
  keys: 2,
  procSys: 4,
  cache: 8,
  hosts: 10,
  memory: 16,
  sys: 21,
  dev: 24,
  proc: 25,
  root: 26,
} as const;
const FILE = { busybox: 0, null: 1, pipe: 2, ghost: 3 } as const;

type Case = readonly [
  what: string,
  image: string,
  message: number,
  path: readonly number[],
  value: Edited,
  reason: string,
];

const CASES: readonly Case[] = [
  ['a capability in force', CORE, 0, [...CREDENTIALS, 11], ALL, 'has CAP_DAC_READ_SEARCH, and the container may not'],
  ['a permitted capability', CORE, 0, [...CREDENTIALS, 10], 1 << 21, 'has CAP_SYS_ADMIN'],
  ['a bounding set', CORE, 0, [...CREDENTIALS, 12], 1 << 12, 'has CAP_NET_ADMIN'],
  ['an inheritable capability', CORE, 0, [...CREDENTIALS, 9], 1 << 16, 'has CAP_SYS_MODULE'],
  ['an ambient capability', CORE, 0, [...CREDENTIALS, 19], 1 << 17, 'has CAP_SYS_RAWIO'],
  ['a security label', CORE, 0, [...CREDENTIALS, 15], 'spc_t', 'has the security label spc_t, and the container none'],
  ['a label for sockets', CORE, 0, [...CREDENTIALS, 16], 'x', 'creds_entry has the unknown field 16'],
  ['an AppArmor namespace', CORE, 0, [...CREDENTIALS, 17], 'x', 'creds_entry has the unknown field 17'],
  ['no credentials', CORE, 0, CREDENTIALS, null, 'has no credentials'],
  ['no seccomp', CORE, 0, [THREAD, 11], 0, 'process 9 has no seccomp filter, and the container has one'],
  ['a filter that is not there', CORE, 0, [THREAD, 12], 7, 'has a seccomp filter that is not there'],
  ['a filter that allows all', 'seccomp.img', 0, [1, 1], Buffer.from('060000000000ff7f', 'hex'), 'allows bpf'],
  ['a realtime priority', CORE, 0, [THREAD, 4], 1, 'has a realtime priority'],
  ['a nice value', CORE, 0, [THREAD, 3], 39, 'has the nice value -20'],
  ['an immunity from the OOM killer', CORE, 0, [TASK, 14], -999, 'has oom_score_adj -999'],
  ['another login uid', CORE, 0, [TASK, 13], 1000, 'has the login uid 1000'],
  ['a deprecated seccomp field', CORE, 0, [TASK, 11], 0, 'task_core_entry has the unknown field 11'],
  ['the namespace of the node for pids', 'ids-9.img', 0, [5], 1, 'process 9 shares the pid namespace of the node'],
  ['the namespace of the node for mounts', 'ids-1.img', 0, [9], 6, 'process 1 shares the mnt namespace of the node'],
  ['the network of the node', 'ids-1.img', 0, [6], 2, 'process 1 shares the net namespace of the node'],
  ['a user namespace', 'ids-1.img', 0, [10], 99, 'process 1 has a user namespace of its own'],
  ['no mark of the node', 'inventory.img', 0, [3], null, 'the namespaces of the node are not known'],
  ['plugins', 'inventory.img', 0, [12, 12], 'evil', 'it was made with plugins of CRIU'],
  [
    'another mount that is bound',
    MOUNTS,
    AT.cache,
    [18],
    '/etc',
    'its mount at /cache is not what the runtime binds there',
  ],
  ['a file system of its own', MOUNTS, AT.sys, [1], 17, 'its mount at /sys is of another kind'],
  ['a disk', MOUNTS, AT.dev, [1], 16, 'its mount at /dev is of another kind'],
  ['a mount elsewhere', MOUNTS, AT.cache, [7], '/etc', 'has a mount at /cache, which is missing'],
  ['a path that leads up', MOUNTS, AT.cache, [7], '/a/../../b', 'which is no plain path'],
  ['a mount that can be written to', MOUNTS, AT.sys, [5], 2_097_166, 'its mount at /sys is not ro'],
  ['cgroups that can be written to', MOUNTS, AT.memory, [5], 0, 'its mount at /sys/fs/cgroup/memory is not ro'],
  ['programs in /proc', MOUNTS, AT.proc, [5], 2, 'its mount at /proc is not nodev'],
  ['a path that is not read-only', MOUNTS, AT.procSys, [5], 14, 'its mount at /proc/sys is not ro'],
  ['a part of another file system', MOUNTS, AT.procSys, [6], '/irq', 'is not that part of /proc'],
  ['a mount below', MOUNTS, AT.procSys, [4], 105, 'its mount at /proc/sys does not lie on that at /proc'],
  ['a file that is not masked', MOUNTS, AT.keys, [18], '/proc/keys', 'does not mask /proc/keys'],
  ['two mounts at one place', MOUNTS, AT.hosts, [7], '/cache', 'it has two mounts at /cache'],
  ['an option that names a folder', MOUNTS, AT.firmware, [9], 'size=4k,upperdir=/etc', 'has the option upperdir=/etc'],
  ['a root filesystem from outside', MOUNTS, AT.root, [18], '/', 'its root filesystem is bound from outside'],
  ['a mount of a plugin', MOUNTS, AT.cache, [12], 1, 'mnt_entry has the unknown field 12'],
  ['a file of a mount that is not there', 'files.img', FILE.busybox, [3, 7], 2, 'on a mount that is not there'],
  ['a path that leads out', 'files.img', FILE.busybox, [3, 6], '../../etc/shadow', 'without a plain path'],
  ['a disk that is open', 'files.img', FILE.null, [3, 10], 0o060600, 'has the device /dev/null open'],
  ['another device', 'files.img', FILE.null, [3, 6], '/dev/mem', 'has the device /dev/mem open'],
  ['a file of no kind', 'files.img', FILE.null, [3, 10], null, 'what kind of file it is, is not known'],
  ['an external file', 'files.img', FILE.ghost, [3, 9], 1, 'reg_file_entry has the unknown field 9'],
  ['a tun device', 'files.img', FILE.pipe, [1], 15, 'has a tun device open'],
  ['a BPF map', 'files.img', FILE.pipe, [1], 19, 'has a BPF map open'],
  ['a namespace', 'files.img', FILE.pipe, [1], 14, 'has a namespace open'],
  ['a descriptor from outside', 'fdinfo-2.img', 0, [3], 16, 'has a file from outside of the container open'],
  ['an unknown descriptor', 'fdinfo-2.img', 0, [3], 77, 'a descriptor of the unknown kind 77'],
  ['a file with the setuid bit', 'ghost-file-1.img', 0, [3], 0o104755, 'makes a file with the setuid or setgid bit'],
  ['a device without a name', 'ghost-file-1.img', 0, [3], 0o060600, 'it makes a device'],
  ['a link without a name', 'ghost-file-1.img', 0, [11], '/etc/shadow', 'ghost_file_entry has the unknown field 11'],
  ['a cgroup of others', 'cgroup.img', 0, [1, 2, 2], '/kubepods/other', 'which is not below that of the container'],
  ['a property with a path', 'cgroup.img', 0, [2, 2, 3, 1], '../../../proc/sys/kernel/core_pattern', 'no property'],
  ['a network', 'netns-10.img', 0, [8], null, 'it brings a network of its own'],
  ['network settings', 'netns-10.img', 0, [2], 1, 'netns_entry has the unknown field 2'],
  ['limits of IPC', 'ipcns-var-11.img', 0, [6], 5, 'are not those of the pod'],
];

describe('images as CRIU wrote them', () => {
  it('are accepted', async () => {
    expect(await checkImages(folder, rights())).toBeNull();
  });

  it('are accepted with settings of the IPC namespace only where the pod has one', async () => {
    expect(await checkImages(folder, { ...rights(), ipc: null })).toContain('it sets what belongs to the node');
  });

  it.each<[string, Partial<OciSpec>, string]>([
    ['no new privileges', { process: { ...SPEC.process, noNewPrivileges: true } }, 'no_new_privs is not set'],
    ['fewer capabilities', { process: { ...SPEC.process, capabilities: {} } }, 'has CAP_CHOWN'],
    [
      'another user',
      { process: { user: { uid: 7, gid: 0 }, capabilities: {}, oomScoreAdj: 999 } },
      'has CAP_CHOWN, and the container may not have it',
    ],
    [
      'a lower limit of open files',
      { process: { ...SPEC.process, rlimits: [{ type: 'RLIMIT_NOFILE', hard: 64, soft: 64 }] } },
      'has RLIMIT_NOFILE 20000, and the container 64',
    ],
    [
      'a limit of core dumps',
      { process: { ...SPEC.process, rlimits: [{ type: 'RLIMIT_CORE', hard: 0, soft: 0 }] } },
      'has RLIMIT_CORE unlimited, and the container 0',
    ],
    [
      'a label',
      { process: { ...SPEC.process, apparmorProfile: 'cri-containerd.apparmor.d' } },
      'the security label none',
    ],
    [
      'no packet sockets',
      { process: { ...SPEC.process, capabilities: { ...without('CAP_NET_RAW') } } },
      'has CAP_NET_RAW, and the container may not have it',
    ],
    ['a read-only root', { root: { readonly: true } }, 'its root filesystem can be written to'],
    ['no network', { linux: { ...SPEC.linux, namespaces: [{ type: 'pid' }] } }, 'has a net namespace of its own'],
    [
      'another mount',
      { mounts: [...(SPEC.mounts ?? []), { destination: '/more', type: 'tmpfs' }] },
      '/more, which is missing',
    ],
    [
      'one mount less',
      { mounts: (SPEC.mounts ?? []).filter(({ destination }) => destination !== '/cache') },
      'a mount at /cache, and the container has none',
    ],
    [
      'another masked path',
      { linux: { ...SPEC.linux, maskedPaths: ['/proc/acpi', '/proc/keys', '/proc/kmsg'] } },
      'a mount at /sys/firmware, and the container has none',
    ],
    [
      'a user namespace',
      { linux: { ...SPEC.linux, namespaces: [...(SPEC.linux?.namespaces ?? []), { type: 'user' }] } },
      'shares the user namespace of the node',
    ],
  ])('are refused where the new container has %s', async (_, spec, reason) => {
    expect(await checkImages(folder, rights(spec))).toContain(reason);
  });
});

describe('a process that ended', () => {
  beforeEach(() => edit(CORE, 0, [THREAD], null));

  it('is accepted without rights and namespaces', async () => {
    await edit(CORE, 0, [TASK, 1], 6);
    await rm(join(folder, 'ids-9.img'));
    expect(await checkImages(folder, rights())).toBeNull();
  });

  it('is refused without rights where it lives', async () => {
    expect(await checkImages(folder, rights())).toContain('process 9 has no credentials');
  });
});

describe('a file under a second name', () => {
  /** The file without a name of the fixture is under another one, and its entry says nothing of its kind, as that of CRIU does. */
  beforeEach(async () => {
    await edit('remap-fpath.img', 0, [2], 4);
    await edit('remap-fpath.img', 0, [3], 0);
    await edit('files.img', FILE.ghost, [3, 10], null);
  });

  it('is refused where a process has it open by that entry', async () => {
    expect(await checkImages(folder, rights())).toContain('what kind of file it is, is not known');
  });

  it('is accepted where none has', async () => {
    for (const table of ['fdinfo-2.img', 'fdinfo-3.img']) await edit(table, 3, [1], 3);
    expect(await checkImages(folder, rights())).toBeNull();
  });
});

describe('a thread', () => {
  /** Process 1 has another thread, for which CRIU writes no filter where all threads have the same. */
  beforeEach(async () => {
    await cp(join(folder, CORE), join(folder, 'core-10.img'));
    await edit('core-10.img', 0, [THREAD, 11], null);
    await edit('core-10.img', 0, [THREAD, 12], null);
    await edit('pstree.img', 0, [5], 10);
  });

  it('is accepted with the filter of its process', async () => {
    expect(await checkImages(folder, rights())).toBeNull();
  });

  it('is refused where that filter is not for all threads', async () => {
    await edit('seccomp.img', 0, [1, 3], 0);
    expect(await checkImages(folder, rights())).toContain(
      'process 10 has no seccomp filter, and that of its process is not',
    );
  });

  it('is refused with other capabilities', async () => {
    await edit('core-10.img', 0, [...CREDENTIALS, 11], ALL);
    expect(await checkImages(folder, rights())).toContain('process 10 has CAP_DAC_READ_SEARCH');
  });
});

describe('images that somebody has edited', () => {
  it.each(CASES)('are refused for %s', async (_, image, message, path, value, reason) => {
    await edit(image, message, path, value);
    expect(await checkImages(folder, rights())).toContain(reason);
  });

  it.each([
    'netdev-10',
    'ifaddr-10',
    'route-10',
    'rule-10',
    'iptables-10',
    'ip6tables-10',
    'nftables-10',
    'netns-ct-10',
  ])('are refused with %s.img: rules of a foreign network', async (name) => {
    await writeFile(join(folder, `${name}.img`), '');
    expect(await checkImages(folder, rights())).toBe(`${name}.img: images of this kind are not restored`);
  });

  it.each([
    'apparmor',
    'bpfmap-data',
    'bpfmap-file',
    'tcp-stream-1',
    'autofs-1',
    'binfmt-misc',
    'creds-1',
    'reg-files',
    'new',
  ])('are refused with %s.img, which is not restored', async (name) => {
    await writeFile(join(folder, `${name}.img`), '');
    expect(await checkImages(folder, rights())).toBe(`${name}.img: images of this kind are not restored`);
  });

  it.each(['core-9.img', 'ids-9.img', 'pstree.img', 'inventory.img', 'mountpoints-13.img'])(
    'are refused without %s',
    async (name) => {
      await rm(join(folder, name));
      expect(await checkImages(folder, rights())).not.toBeNull();
    },
  );

  it('are refused with other standard streams', async () => {
    await writeFile(join(folder, 'descriptors.json'), '["/dev/null","/dev/sda","pipe:[1]"]');
    expect(await checkImages(folder, rights())).toContain('other standard streams');
  });

  /** Of /dev: its member `urandom`. */
  async function editDev(change: (header: Buffer) => void): Promise<void> {
    const file = join(folder, 'tmpfs-dev-56.tar.gz.img');
    const tar = gunzipSync(await readFile(file));
    for (let at = 0; at < tar.length; at += 512) {
      const header = tar.subarray(at, at + 512);
      if (header.toString('latin1', 0, 9) === './urandom') change(header);
    }
    await writeFile(file, gzipSync(tar));
  }

  it('are refused with a device of the node in a tmpfs', async () => {
    await editDev((header) => header.write('0000010\0', 329));
    expect(await checkImages(folder, rights())).toContain(
      'makes the device 8,9 (./urandom), and the container has none',
    );
  });

  it('are refused with a setuid file in a tmpfs', async () => {
    await editDev((header) => {
      header.write('0', 156);
      header.write('0004755\0', 100);
    });
    expect(await checkImages(folder, rights())).toContain('makes ./urandom with the setuid or setgid bit');
  });

  it('are refused without the limits that the container has', async () => {
    const limited = { ...SPEC.process, rlimits: [{ type: 'RLIMIT_NOFILE', hard: 2 ** 30, soft: 1024 }] };
    expect(await checkImages(folder, rights({ process: limited }))).toBeNull();
    await edit(CORE, 0, [TASK, 8], null);
    expect(await checkImages(folder, rights({ process: limited }))).toContain(
      'process 9 has no RLIMIT_NOFILE of its own',
    );
  });

  it('are refused with another SELinux level than that of the container', async () => {
    await edit('inventory.img', 0, [6], 1);
    const label = (level: string): string => `system_u:system_r:container_t:s0:${level}`;
    for (const core of ['core-1.img', CORE]) await edit(core, 0, [...CREDENTIALS, 15], label('c1,c2'));
    const of = (level: string): ContainerRights => rights({ process: { ...SPEC.process, selinuxLabel: label(level) } });
    expect(await checkImages(folder, of('c1,c2'))).toBeNull();
    expect(await checkImages(folder, of('c3,c4'))).toContain('s0:c1,c2, and the container');
  });

  it('are refused where they are cut off anywhere, and never accepted for it', async () => {
    for (const name of ['core-9.img', 'mountpoints-13.img', 'files.img', 'cgroup.img', 'seccomp.img']) {
      const whole = await readFile(join(FIXTURES, 'criu', name));
      for (let length = whole.length - 1; length > 8; length -= Math.ceil(whole.length / 9)) {
        await writeFile(join(folder, name), whole.subarray(0, length));
        expect(await checkImages(folder, rights())).not.toBeNull();
      }
      await writeFile(join(folder, name), whole);
    }
  });
});
