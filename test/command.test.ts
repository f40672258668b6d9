import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** The command as a user meets it in a pipe. */
const root = dirname(dirname(fileURLToPath(import.meta.url)));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface How {
  readonly env?: Record<string, string>;
  /** Closes its standard output after the first bytes, as `| head -1` does. */
  readonly hangUp?: boolean;
}

/** Plays the demo as fast as it goes. */
function demo(args: readonly string[], how: How = {}): Promise<Ended> {
  return run(['demo', '--speed', '100000', ...args], how);
}

async function run(args: readonly string[], { env = {}, hangUp = false }: How = {}): Promise<Ended> {
  const child = spawn(process.execPath, [join(root, 'src/main.ts'), ...args], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    if (hangUp) child.stdout.destroy();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

const escapes = (text: string): number => text.split('\u001B[').length - 1;

describe('reprieve demo', () => {
  it('ends quietly when nobody reads on', async () => {
    const { code, stderr } = await demo(['--once'], { hangUp: true });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  it('with --json prints one object, and nothing else', async () => {
    const { code, stdout, stderr } = await demo(['--json']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ seed: 1, coldStarted: 0, abandoned: 0 });
    expect(stdout.trimEnd()).not.toContain('\n');
  });

  it('has colours in a pipe only where they are asked for', async () => {
    const plain = await demo(['--once']);
    const forced = await demo(['--once'], { env: { FORCE_COLOR: '1' } });
    expect(escapes(plain.stdout)).toBe(0);
    expect(escapes(forced.stdout)).toBeGreaterThan(10);
    expect(Math.max(...plain.stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  });
});

it('reprieve node doctor --json prints one object, and nothing else', async () => {
  const { stdout, stderr } = await run(['node', 'doctor', '--json']);
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toMatchObject({ checks: expect.any(Array) });
});
