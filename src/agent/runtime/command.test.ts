import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CommandError, lastLines, runCommand } from './command.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'command-'));
});
afterEach(() => rm(folder, { recursive: true }));

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Gone, or noticed by nobody yet. */
async function isDead(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat === '' || stat.split(' ')[2] === 'Z';
}

async function pidsIn(file: string): Promise<number[]> {
  for (;;) {
    const text = await readFile(file, 'utf8').catch(() => '');
    if (text.endsWith('\n')) return text.trim().split(' ').map(Number);
    await sleep(5);
  }
}

describe('runCommand', () => {
  it('gives what the command wrote, in English, without a shell in between', async () => {
    const { stdout, stderr } = await runCommand('sh', ['-c', 'echo "$LC_ALL $1"; echo aside >&2', 'sh', '$(id); *']);
    expect({ stdout, stderr }).toEqual({ stdout: 'C $(id); *\n', stderr: 'aside\n' });
  });

  it('reports the exit code and the last lines of stderr', async () => {
    const error = await runCommand('sh', ['-c', 'seq 1 9 >&2; exit 3']).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(CommandError);
    expect(error).toMatchObject({ exitCode: 3, message: 'sh failed (3): 5; 6; 7; 8; 9' });
  });

  it('reports a signal that ended it', async () => {
    await expect(runCommand('sh', ['-c', 'kill -TERM $$'])).rejects.toThrow('sh was ended by SIGTERM');
  });

  it('reports a command that does not exist', async () => {
    await expect(runCommand(join(folder, 'none'), [])).rejects.toThrow('cannot be started: spawn');
  });

  it('keeps only the end of a long stderr', async () => {
    const error = (await runCommand('sh', ['-c', 'yes | head -c 9999999 >&2; echo end >&2; exit 1']).catch(
      (error: unknown) => error,
    )) as CommandError;
    expect(error.stderr.length).toBe(64 * 1024);
    expect(error.stderr.endsWith('end\n')).toBe(true);
  });

  it('refuses an answer that is too long to be one', async () => {
    const answer = runCommand('head', ['-c', '20000000', '/dev/zero']).then(() => 'accepted');
    await expect(answer).rejects.toThrow('wrote more than');
  });

  it('kills all that the command started, and waits for it', async () => {
    const abort = new AbortController();
    // The grandchild holds no pipe of ours: its end is not what closes the streams.
    const script = 'sleep 1000 >/dev/null 2>&1 & echo "$$ $!" > "$1"; wait';
    const running = runCommand('sh', ['-c', script, 'sh', join(folder, 'pids')], { signal: abort.signal });
    const pids = await pidsIn(join(folder, 'pids'));
    expect(pids.map(isAlive)).toEqual([true, true]);
    abort.abort(new Error('no longer wanted'));
    await expect(running).rejects.toThrow('no longer wanted');
    expect((await Promise.all(pids.map(isDead))).every(Boolean)).toBe(true);
  });

  it('kills a command that does not end in time, with all that it started', async () => {
    const script = 'sleep 1000 & echo "$$ $!" > "$1"; wait';
    const running = runCommand('sh', ['-c', script, 'sh', join(folder, 'pids')], { limitMs: 200 });
    await expect(running).rejects.toThrow('sh did not end within 0.2 s');
    const pids = await pidsIn(join(folder, 'pids'));
    await expect.poll(() => Promise.all(pids.map(isDead))).toEqual([true, true]);
  });

  it('starts nothing when it is aborted beforehand', async () => {
    const made = join(folder, 'made');
    await expect(runCommand('touch', [made], { signal: AbortSignal.abort(new Error('late')) })).rejects.toThrow('late');
    await expect(readFile(made)).rejects.toThrow('ENOENT');
  });
});

describe('lastLines', () => {
  it('leaves out empty lines and cuts what is too long', () => {
    expect(lastLines('a\n\n \nb\n')).toBe('a; b');
    expect(lastLines('x'.repeat(5000))).toHaveLength(1000);
  });
});
