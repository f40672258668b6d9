import { once } from 'node:events';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  chmod,
  chown,
  link,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  readlink,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CommandError, runCommand, type RunCommand } from '../runtime/command.ts';
import { emptyFolder, extract, pack } from './archive.ts';
import { makeArchive, type Member } from './make-archive.ts';

const run = runCommand;
const canSetAttributes = process.getuid?.() === 0 && spawnSync('python3', ['--version']).status === 0;
let folder: string;
let from: string;
let to: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'archive-'));
  [from, to, file] = [join(folder, 'from'), join(folder, 'to'), join(folder, 'a.tar')];
  await mkdir(from);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function roundTrip(): Promise<void> {
  await pack(from, file, { run });
  await extract(file, to, { run });
}

describe('pack and extract', () => {
  it('bring back contents, modes, times, links and empty folders', async () => {
    await mkdir(join(from, 'sub/empty'), { recursive: true });
    await writeFile(join(from, 'sub/a b\nc'), 'text', { mode: 0o640 });
    await writeFile(join(from, '-rf'), 'a name like an option');
    await utimes(join(from, 'sub/a b\nc'), 1_000_000, 1_000_000);
    await link(join(from, 'sub/a b\nc'), join(from, 'again'));
    await symlink('/etc/passwd', join(from, 'absolute'));
    await symlink('../../elsewhere', join(from, 'upwards'));
    await chmod(from, 0o1777);
    await roundTrip();
    const made = await stat(join(to, 'sub/a b\nc'));
    expect({ mode: made.mode & 0o7777, mtime: made.mtimeMs, links: made.nlink }).toEqual({
      mode: 0o640,
      mtime: 1_000_000_000,
      links: 2,
    });
    expect(await readFile(join(to, 'again'), 'utf8')).toBe('text');
    expect(await readlink(join(to, 'absolute'))).toBe('/etc/passwd');
    expect(await readlink(join(to, 'upwards'))).toBe('../../elsewhere');
    expect((await stat(to)).mode & 0o7777).toBe(0o1777);
    expect((await readdir(to)).sort()).toEqual(['-rf', 'absolute', 'again', 'sub', 'upwards']);
    expect(await readdir(join(to, 'sub/empty'))).toEqual([]);
  });

  it('keep the holes of a sparse file', async () => {
    await writeFile(join(from, 'sparse'), 'start');
    await truncate(join(from, 'sparse'), 64 * 1024 * 1024);
    await roundTrip();
    expect((await stat(file)).size).toBeLessThan(1024 * 1024);
    const made = await stat(join(to, 'sparse'));
    expect(made.size).toBe(64 * 1024 * 1024);
    expect(made.blocks * 512).toBeLessThan(1024 * 1024);
  });

  it.skipIf(!canSetAttributes)(
    'bring back owners, attributes and the marks of overlayfs (needs root and python3)',
    async () => {
      await writeFile(join(from, 'owned'), '');
      await chown(join(from, 'owned'), 123_456, 654_321);
      execFileSync('mknod', [join(from, 'whiteout'), 'c', '0', '0']);
      await mkdir(join(from, 'opaque'));
      const setAttributes = `import os
os.setxattr('${from}/opaque', 'trusted.overlay.opaque', b'y')
os.setxattr('${from}/owned', 'security.capability', bytes.fromhex('0100000200040000000000000000000000000000'))
os.setxattr('${from}/owned', 'user.note', b'n')`;
      execFileSync('python3', ['-c', setAttributes]);
      await roundTrip();
      const owned = await stat(join(to, 'owned'));
      expect([owned.uid, owned.gid]).toEqual([123_456, 654_321]);
      const whiteout = await lstat(join(to, 'whiteout'));
      expect([whiteout.isCharacterDevice(), whiteout.rdev]).toEqual([true, 0]);
      const getAttributes = `import os
print(os.getxattr('${to}/opaque', 'trusted.overlay.opaque'), sorted(os.listxattr('${to}/owned')))`;
      expect(execFileSync('python3', ['-c', getAttributes], { encoding: 'utf8' })).toBe(
        "b'y' ['security.capability', 'user.note']\n",
      );
    },
  );

  it('leave sockets out, without failing', async () => {
    const server = createServer().listen(join(from, 'socket'));
    await writeFile(join(from, 'kept'), '');
    await roundTrip();
    server.close();
    expect(await readdir(to)).toEqual(['kept']);
  });

  it('make an archive that only its owner reads', async () => {
    await pack(from, file, { run });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it('do not mind files that change while they are read', async () => {
    const busy = spawn('sh', [
      '-c',
      'while :; do echo "$$" >> "$1"; rm -f "$2"; : > "$2"; done',
      'sh',
      join(from, 'log'),
      join(from, 'gone'),
    ]);
    try {
      await writeFile(join(from, 'big'), Buffer.alloc(8 * 1024 * 1024, 1));
      for (let round = 0; round < 5; round += 1) await pack(from, join(folder, `${round}.tar`), { run });
    } finally {
      busy.kill('SIGKILL');
    }
    await extract(join(folder, '4.tar'), to, { run });
    expect((await stat(join(to, 'big'))).size).toBe(8 * 1024 * 1024);
  });

  it.each([
    { given: 'some files differ (1)', exitCode: 1, said: 'tar: ./log: file changed as we read it', fails: false },
    { given: 'a fatal error (2)', exitCode: 2, said: 'tar: Error is not recoverable', fails: true },
    { given: 'a root that cannot be made (1)', exitCode: 1, said: 'unshare: Operation not permitted', fails: true },
  ])('take the end of tar with $given for what it is', async ({ exitCode, said, fails }) => {
    const answer: RunCommand = () =>
      Promise.reject(new CommandError('unshare', exitCode, `failed (${exitCode})`, said));
    const packed = pack(from, file, { run: answer }).then(
      () => 'packed',
      () => 'failed',
    );
    expect(await packed).toBe(fails ? 'failed' : 'packed');
  });

  it('fail for a folder that does not exist', async () => {
    await expect(pack(join(folder, 'none'), file, { run })).rejects.toThrow('does not exist');
  });
});

describe('extract', () => {
  it('refuses a folder that holds something', async () => {
    await pack(from, file, { run });
    await mkdir(to);
    await writeFile(join(to, 'here'), '');
    await expect(extract(file, to, { run })).rejects.toThrow('not empty: it holds here');
  });

  it('fails for an archive that was cut off', async () => {
    await writeFile(join(from, 'big'), Buffer.alloc(1024 * 1024, 1));
    await pack(from, file, { run });
    await truncate(file, 600_000);
    await expect(extract(file, to, { run })).rejects.toThrow('Unexpected EOF');
  });

  const SECRET = 'secret';
  const hostile: Record<string, (outside: string) => readonly Member[]> = {
    'an absolute name': (outside) => [{ name: `${outside}/new`, content: 'x' }],
    'a name with ..': () => [{ name: '../outside/new', content: 'x' }],
    'a name with .. further in': () => [{ name: 'a/../../outside/new', content: 'x' }],
    'a member below an absolute symlink': (outside) => [
      { name: 'l', type: 'symlink', target: outside },
      { name: 'l/new', content: 'x' },
    ],
    'a member below a relative symlink': () => [
      { name: 'l', type: 'symlink', target: '../outside' },
      { name: 'l/new', content: 'x' },
    ],
    'a member below a symlink to a symlink': () => [
      { name: 'l', type: 'symlink', target: '../outside' },
      { name: 'm', type: 'symlink', target: 'l' },
      { name: 'm/new', content: 'x' },
    ],
    'a member below a folder that became a symlink': () => [
      { name: 'd', type: 'folder' },
      { name: 'm', type: 'symlink', target: 'd' },
      { name: 'd', type: 'symlink', target: '../outside' },
      { name: 'm/new', content: 'x' },
    ],
    'a file over a symlink': (outside) => [
      { name: 'l', type: 'symlink', target: `${outside}/secret` },
      { name: 'l', content: 'x' },
    ],
    'a hardlink to an absolute name': (outside) => [
      { name: 'h', type: 'hardlink', target: `${outside}/secret` },
      { name: 'h', content: 'x' },
    ],
    'a hardlink upwards': () => [
      { name: 'h', type: 'hardlink', target: '../outside/secret' },
      { name: 'h', content: 'x' },
    ],
    'a hardlink to a symlink': (outside) => [
      { name: 's', type: 'symlink', target: `${outside}/secret` },
      { name: 'h', type: 'hardlink', target: 's' },
      { name: 'h', content: 'x' },
    ],
    'a hardlink through a symlink': () => [
      { name: 's', type: 'symlink', target: '../outside' },
      { name: 'h', type: 'hardlink', target: 's/secret' },
      { name: 'h', content: 'x' },
    ],
    'a folder over a symlink': (outside) => [
      { name: 's', type: 'symlink', target: outside },
      { name: 's', type: 'folder' },
      { name: 's/new', content: 'x' },
    ],
  };

  it.each(Object.entries(hostile))('writes nothing outside for %s', async (_, members) => {
    const outside = join(folder, 'outside');
    await mkdir(outside);
    await writeFile(join(outside, 'secret'), SECRET, { mode: 0o600 });
    await writeFile(file, makeArchive(members(outside)));
    const before = await stat(join(outside, 'secret'));
    await extract(file, to, { run }).catch((error: unknown) => expect(error).toBeInstanceOf(CommandError));
    expect(await readdir(outside)).toEqual(['secret']);
    expect(await readFile(join(outside, 'secret'), 'utf8')).toBe(SECRET);
    const after = await stat(join(outside, 'secret'));
    expect([after.nlink, after.mode, after.mtimeMs]).toEqual([before.nlink, before.mode, before.mtimeMs]);
    expect((await readdir(folder)).sort()).toEqual(['a.tar', 'from', 'outside', 'to']);
  });

  it('makes what a hand-made archive says when that is honest', async () => {
    await writeFile(
      file,
      makeArchive([
        { name: 'd', type: 'folder' },
        { name: 'd/f', content: 'x' },
      ]),
    );
    await chmod(file, 0o600);
    await extract(file, to, { run });
    expect(await readFile(join(to, 'd/f'), 'utf8')).toBe('x');
  });
});

/** Makes `d` in a folder a link that leads out, and a folder again, on and on. Arguments: the folder, the outside. */
const RACER = `const { renameSync, symlinkSync, unlinkSync } = require('node:fs');
const [folder, outside] = process.argv.slice(1);
const attempt = (work) => { try { work(); } catch {} };
process.stdout.write('ready');
for (;;) {
  attempt(() => renameSync(folder + '/d', folder + '/x'));
  attempt(() => symlinkSync(outside, folder + '/d'));
  attempt(() => unlinkSync(folder + '/d'));
  attempt(() => renameSync(folder + '/x', folder + '/d'));
}`;

describe('extract, pack and emptyFolder beside a process that makes a folder a link and back', () => {
  const NAMES = Array.from({ length: 2_000 }, (_, at) => `f${at}`);
  let outside: string;
  let racer: ReturnType<typeof spawn>;
  beforeEach(async () => {
    outside = join(folder, 'outside');
    for (const made of [outside, to, join(to, 'd'), join(from, 'd')]) await mkdir(made);
    await Promise.all(NAMES.map((name) => writeFile(join(outside, name), 'of others')));
    await Promise.all(NAMES.map((name) => writeFile(join(from, 'd', name), 'inside')));
    await pack(from, file, { run });
  });
  afterEach(async () => {
    racer.kill('SIGKILL');
    await once(racer, 'exit');
  });

  async function race(): Promise<void> {
    racer = spawn(process.execPath, ['-e', RACER, to, outside], { stdio: ['ignore', 'pipe', 'ignore'] });
    await once(racer.stdout as NodeJS.ReadableStream, 'data');
  }

  async function isUntouched(): Promise<boolean> {
    const names = await readdir(outside);
    const texts = await Promise.all(names.map((name) => readFile(join(outside, name), 'utf8')));
    return names.length === NAMES.length && texts.every((text) => text === 'of others');
  }

  it('changes, removes and packs nothing that is outside', async () => {
    await race();
    for (let round = 0; round < 8; round++) {
      const packed = join(folder, `${round}.tar`);
      await extract(file, to, { run }).catch(() => undefined);
      await pack(to, packed, { run }).catch(() => undefined);
      await emptyFolder(to, { run }).catch(() => undefined);
      expect((await readFile(packed)).includes('of others')).toBe(false);
    }
    expect(await isUntouched()).toBe(true);
  });
});
