import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const PROCESS = fileURLToPath(new URL('process.ts', import.meta.url));

describe('surviveErrors', () => {
  it.each([
    ['an exception', "setTimeout(() => { throw new Error('of the test'); })"],
    ['a rejection', "void Promise.reject(new Error('of the test'))"],
  ])('keeps the timers running after %s that nobody handles', (_, fails) => {
    const script = `
      import { surviveErrors } from ${JSON.stringify(PROCESS)};
      surviveErrors({ error: ({ err }) => console.log('logged', err.message) });
      setTimeout(() => console.log('thawed'), 50);
      ${fails};`;
    const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
      encoding: 'utf8',
    });
    expect(stdout).toBe('logged of the test\nthawed\n');
    expect(status).toBe(0);
  });
});
