import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCommand, type RunCommand } from '../runtime/command.ts';
import type { RuntimeContainer } from '../runtime/containers.ts';
import type { OciSpec } from '../runtime/oci-spec.ts';
import { viewOf } from './container-view.ts';
import { obstaclesIn } from './kinds.ts';

const OWN: OciSpec = { linux: { namespaces: [{ type: 'pid' }] } };
let proc: string;
beforeEach(async () => {
  proc = await mkdtemp(join(tmpdir(), 'proc-'));
});
afterEach(() => rm(proc, { recursive: true }));

/** What else /proc shows of a process: path below its folder -> content. */
type Shown = Readonly<Record<string, string>>;

async function makeProcess(
  pid: number,
  fds: readonly string[],
  maps: readonly string[] = [],
  shown: Shown = {},
): Promise<void> {
  const folder = join(proc, String(pid));
  for (const name of ['fd', 'fdinfo', 'net', 'ns', 'task/1']) await mkdir(join(folder, name), { recursive: true });
  await Promise.all(fds.map((target, at) => symlink(target, join(folder, `fd/${at}`))));
  const lines = maps.map((path) => `7f00-7f01 rw-s 00000000 00:0f 12345      ${path}\n`);
  await writeFile(join(folder, 'maps'), lines.join(''));
  await writeFile(join(folder, 'status'), `Name:\tprogram-${pid}\n`);
  for (const [path, content] of Object.entries(shown)) {
    if (path.startsWith('ns/')) await symlink(content, join(folder, path));
    else await writeFile(join(folder, path), content);
  }
}

async function found(
  spec: OciSpec,
  pids: readonly number[] = [],
  run: RunCommand = runCommand,
  mayReadLimits = true,
): Promise<string[]> {
  const container = { name: 'web', pid: 1, spec } as RuntimeContainer;
  return (await obstaclesIn(await viewOf({ container, pids, run, proc, mayReadLimits }))).map(
    ({ reason, message }) => `${reason}: ${message}`,
  );
}

describe('obstaclesIn', () => {
  it('finds none in an ordinary container', async () => {
    await makeProcess(
      1,
      [
        '/dev/null',
        '/dev/urandom',
        '/dev/pts/0',
        'pipe:[1]',
        'socket:[2]',
        'anon_inode:[eventpoll]',
        'anon_inode:inotify',
        'anon_inode:[pidfd]',
        '/data/f',
        '/var/tmp/x (deleted)',
      ],
      ['/dev/zero (deleted)', '/dev/shm/x', '/usr/lib/libc.so', '[heap]', '/memfd:a b (deleted)'],
    );
    expect(await found(OWN, [1])).toEqual([]);
  });

  it.each([
    ['mapped', [], ['anon_inode:[io_uring]']],
    ['open', ['anon_inode:[io_uring]'], []],
  ])('finds io_uring that is %s', async (_, fds, maps) => {
    await makeProcess(1, []);
    await makeProcess(2, fds, maps);
    expect(await found(OWN, [1, 2])).toEqual([
      'IoUring: it uses io_uring, which criu cannot save; seccompProfile: RuntimeDefault makes programs do without',
    ]);
  });

  it.each([
    ['a user', 'Uid:\t1000\t1000\t1000\t1000\nGid:\t0\t0\t0\t0\n'],
    ['a group', 'Uid:\t0\t0\t0\t0\nGid:\t0\t0\t7\t0\n'],
  ])('finds a process of another than root (%s) where its limits cannot be read', async (_, ids) => {
    await makeProcess(1, [], [], { status: `Name:\tworker\n${ids}` });
    expect(await found(OWN, [1], runCommand, false)).toEqual([
      'OtherUser: process worker is not of root, and criu reads its limits only with CAP_SYS_RESOURCE, which this node lacks',
    ]);
    expect(await found(OWN, [1])).toEqual([]);
  });

  it('finds a device that is mapped', async () => {
    await makeProcess(1, [], ['/dev/nvidia0']);
    expect(await found(OWN, [1])).toEqual([expect.stringContaining('Device: it uses the device /dev/nvidia0,')]);
  });

  it('finds /dev/tty that is open, and no terminal under its own name', async () => {
    await makeProcess(1, ['/dev/ptmx', '/dev/pts/ptmx']);
    await makeProcess(2, ['/dev/pts/0'], [], { status: 'Name:\ttmux\nPPid:\t1\n' });
    expect(await found(OWN, [1, 2])).toEqual([]);
    await makeProcess(3, ['/dev/pts/0', '/dev/tty'], [], { status: 'Name:\tdash\nPPid:\t2\n' });
    expect(await found(OWN, [1, 2, 3])).toEqual([
      expect.stringMatching(/^Terminal: process dash has its terminal open as \/dev\/tty, .* or with bash/),
    ]);
  });

  it('leaves /dev/tty of a shell that was started by `kubectl exec`', async () => {
    await makeProcess(1, []);
    await makeProcess(7, ['/dev/pts/0', '/dev/tty'], [], { status: 'Name:\tdash\nPPid:\t4711\n' });
    expect(await found(OWN, [1, 7])).toEqual([]);
  });

  it('finds a process that is being traced, by a thread of it', async () => {
    await makeProcess(1, [], [], { 'task/1/status': 'Name:\tsh\nTracerPid:\t17\n' });
    expect(await found(OWN, [1])).toEqual(['Traced: process program-1 is being traced (strace, gdb); end the tracer']);
  });

  it.each([
    ['a kind of file that nobody knows', 'anon_inode:[novelty]'],
    ['a namespace', 'net:[4026531840]'],
    ['a queue of messages', '/dev/mqueue/jobs'],
    ['a file outside of its mounts', '(unreachable)/x'],
  ])('finds %s that is open', async (_, target) => {
    await makeProcess(1, [target]);
    expect(await found(OWN, [1])).toEqual([`FileKind: it has ${target} open, which criu cannot save`]);
  });

  it('finds a namespace within the container', async () => {
    await makeProcess(1, [], [], { 'ns/user': 'user:[1]', 'ns/pid': 'pid:[1]' });
    await makeProcess(2, [], [], { 'ns/user': 'user:[1]', 'ns/pid': 'pid:[2]' });
    expect(await found(OWN, [1, 2])).toEqual([
      expect.stringContaining('NestedNamespace: process program-2 runs in a pid namespace of its own'),
    ]);
  });

  it('finds what was mounted later, and leaves what is made anew', async () => {
    const mountinfo = [
      '1 0 0:1 / / rw - overlay overlay rw',
      '2 1 0:2 / /proc rw - proc proc rw',
      '3 1 0:3 / /scratch rw - tmpfs tmpfs rw',
      '4 1 8:1 / /data rw - ext4 /dev/sda rw',
      '5 1 8:2 / /inner rw - ext4 /dev/sdb rw',
    ];
    await makeProcess(1, [], [], { mountinfo: `${mountinfo.join('\n')}\n` });
    expect(await found({ ...OWN, mounts: [{ destination: '/data' }] }, [1])).toEqual([
      'InnerMount: /inner was mounted after the container began, and would be missing',
    ]);
  });

  it('finds files of the image that are watched, and not those of a volume', async () => {
    const mountinfo = '1 0 0:52 / / rw - overlay overlay rw\n2 1 254:1 / /data rw - ext4 /dev/sda rw\n';
    const watch = (sdev: string): Shown => ({ mountinfo, 'fdinfo/0': `inotify wd:1 ino:7e sdev:${sdev} mask:3c6\n` });
    await makeProcess(1, ['anon_inode:inotify'], [], watch('34'));
    await makeProcess(2, ['anon_inode:inotify'], [], watch('fe00001'));
    const spec = { ...OWN, mounts: [{ destination: '/data' }] };
    expect(await found(spec, [1, 2])).toEqual([expect.stringContaining('Inotify: process program-1 watches')]);
  });

  it('finds files that differ in every pod, and versions that the next has not', async () => {
    const spec = {
      ...OWN,
      mounts: [{ destination: '/conf', source: '/var/lib/kubelet/pods/u1/volumes/kubernetes.io~configmap/conf' }],
    };
    await makeProcess(1, ['/etc/hosts']);
    await makeProcess(2, ['/conf/..2026_11_30/a (deleted)']);
    await makeProcess(3, ['/conf/..2026_11_30/a']);
    expect(await found(spec, [1])).toEqual([expect.stringContaining('PodFile: it has /etc/hosts open')]);
    expect(await found(spec, [2])).toEqual([expect.stringContaining('an older version of /conf/..2026_11_30/a open')]);
    expect(await found(spec, [3])).toEqual([]);
  });

  const internet = (address: string, state: string, inode: number): string =>
    `   0: ${address}:1F90 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1\n`;

  it.each([
    ['listens on every address', 'tcp', '00000000', '0A', false],
    ['listens on the loopback', 'tcp', '0100007F', '0A', false],
    ['is connected', 'tcp', '0200000A', '01', false],
    ['listens on the address of the pod', 'tcp', '0200000A', '0A', true],
    ['receives datagrams there', 'udp', '0200000A', '07', true],
    ['is a connected socket of datagrams', 'udp', '0200000A', '01', false],
  ])('judges a socket that %s', async (_, table, address, state, isInTheWay) => {
    await makeProcess(1, ['socket:[7]'], [], { [`net/${table}`]: internet(address, state, 7) });
    const message =
      'BoundAddress: it listens on 10.0.0.2:8080, an address that the next pod does not have; let it listen on 0.0.0.0';
    expect(await found(OWN, [1])).toEqual(isInTheWay ? [message] : []);
  });

  it('asks for the kind of a socket that is in no table', async () => {
    await makeProcess(1, ['socket:[7]', 'socket:[8]'], [], {
      'net/unix': 'ffff: 00000002 00000000 00000000 0001 01 8 /run/s\n',
    });
    const asked: string[][] = [];
    const says =
      (stdout: string): RunCommand =>
      (_, args) => {
        asked.push(args.slice(args.indexOf('--') + 1));
        return Promise.resolve({ stdout, stderr: '' });
      };
    expect(await found(OWN, [1], says('TCP\0'))).toEqual([]);
    expect(await found(OWN, [1], says('MPTCP\0'))).toEqual([
      expect.stringContaining('SocketKind: it has a socket of kind MPTCP, which criu cannot save'),
    ]);
    expect(asked).toEqual([[join(proc, '1/fd/0')], [join(proc, '1/fd/0')]]);
  });

  it('finds a unix socket that listens under a name that nobody knows', async () => {
    await makeProcess(1, ['socket:[8]'], [], {
      'net/unix': 'ffff: 00000002 00000000 00010000 0001 01 8 /run/s.new\n',
    });
    const run: RunCommand = () => Promise.resolve({ stdout: '', stderr: '' });
    expect(await found(OWN, [1], run)).toEqual([
      expect.stringMatching(/^SocketKind: the unix socket that it bound to \/run\/s.new has another name now/),
    ]);
  });

  it('asks for the kinds of all sockets where one is of MPTCP, which stands in the table of TCP', async () => {
    const protocols = 'protocol  size sockets  memory\nMPTCP     1912      1      -1\n';
    await makeProcess(1, ['socket:[7]'], [], { 'net/tcp': internet('00000000', '0A', 7), 'net/protocols': protocols });
    const run: RunCommand = () => Promise.resolve({ stdout: 'MPTCP\0', stderr: '' });
    expect(await found(OWN, [1], run)).toEqual([expect.stringContaining('a socket of kind MPTCP')]);
    await writeFile(join(proc, '1/net/protocols'), protocols.replace(' 1 ', ' 0 '));
    expect(await found(OWN, [1], run)).toEqual([]);
  });

  it('finds that a file of the runtime was changed after it was written', async () => {
    await makeProcess(1, []);
    await mkdir(join(proc, '1/root/etc'), { recursive: true });
    const file = join(proc, '1/root/etc/resolv.conf');
    await writeFile(file, 'nameserver 10.0.0.10\n');
    const spec = { ...OWN, mounts: [{ destination: '/etc/resolv.conf', source: '/sandboxes/a/resolv.conf' }] };
    expect(await found(spec, [1])).toEqual([]);
    const later = new Date(Date.now() + 60_000);
    await utimes(file, later, later);
    expect(await found(spec, [1])).toEqual([
      expect.stringMatching(/^PodFile: it has changed \/etc\/resolv.conf.*dnsConfig/),
    ]);
    expect(await found(OWN, [1])).toEqual([]); // its own file, not the runtime's
  });

  it('finds the sleep of busybox as process 1, and no other', async () => {
    const named = (name: string): Shown => ({ status: `Name:\t${name}\n` });
    await makeProcess(1, [], ['/bin/busybox'], named('sleep'));
    expect(await found(OWN, [1])).toEqual([expect.stringContaining('the sleep of busybox')]);
    await rm(join(proc, '1'), { recursive: true });
    await makeProcess(1, [], ['/bin/busybox'], named('sh'));
    await makeProcess(2, [], ['/bin/busybox'], named('sleep'));
    expect(await found(OWN, [1, 2])).toEqual([]);
  });

  it('does not mind processes that end meanwhile', async () => {
    expect(await found(OWN, [4711])).toEqual([]);
  });

  it.each([
    ['the process ids of the node', { linux: { namespaces: [{ type: 'mount' }] } }, 'hostPID'],
    ['those of its pod', { linux: { namespaces: [{ type: 'pid', path: '/proc/7/ns/pid' }] } }, 'shareProcessNamespace'],
    ['a terminal', { ...OWN, process: { terminal: true } }, 'tty'],
  ] satisfies [string, OciSpec, string][])('finds that it has %s, and names the field', async (_, spec, field) => {
    expect(await found(spec)).toEqual([expect.stringContaining(field)]);
  });
});
