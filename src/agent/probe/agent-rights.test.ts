import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mayReadLimits, missingRight } from './agent-rights.ts';

const ALL = 0x1ffffffffffn;
const SYS_PTRACE = 1n << 19n;
const SYS_RESOURCE = 1n << 24n;
const SYS_BOOT = 1n << 22n;

let proc: string;
beforeEach(async () => {
  proc = await mkdtemp(join(tmpdir(), 'proc-'));
});
afterEach(() => rm(proc, { recursive: true }));

async function given(agent: bigint, node: bigint): Promise<void> {
  for (const [folder, mask] of Object.entries({ self: agent, 1: node })) {
    const hex = mask.toString(16).padStart(16, '0');
    await mkdir(join(proc, folder));
    await writeFile(join(proc, folder, 'status'), `Name:\tnode\nCapEff:\t${hex}\nCapBnd:\t${hex}\n`);
  }
}

describe('the rights of the agent', () => {
  it.each([
    ['all', ALL, ALL, null, true],
    ['all but one that it does not need', ALL & ~SYS_BOOT, ALL, null, true],
    ['no CAP_SYS_PTRACE', ALL & ~SYS_PTRACE, ALL, /^the agent lacks CAP_SYS_PTRACE, .*: run it privileged$/, true],
    ['no CAP_SYS_PTRACE, as its node', ALL & ~SYS_PTRACE, ALL & ~SYS_PTRACE, /CAP_SYS_PTRACE/, true],
    ['no CAP_SYS_RESOURCE', ALL & ~SYS_RESOURCE, ALL, /^the agent lacks CAP_SYS_RESOURCE, /, false],
    ['no CAP_SYS_RESOURCE, as its node', ALL & ~SYS_RESOURCE, ALL & ~SYS_RESOURCE, null, false],
    ['none', 0n, ALL, /CAP_CHOWN/, false],
  ])('%s', async (_, agent, node, missing, readsLimits) => {
    await given(agent, node);
    if (missing === null) expect(missingRight(proc)).toBeNull();
    else expect(missingRight(proc)).toMatch(missing);
    expect(mayReadLimits(proc)).toBe(readsLimits);
  });
});
