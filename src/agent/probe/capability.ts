import { messageOf } from '../../domain/message-of.ts';
import type { RunCommand } from '../runtime/command.ts';
import { missingRight } from './agent-rights.ts';
import { readFacts, type NodeFacts } from './node-facts.ts';
import { isAtLeast, versionIn, type Version } from './version.ts';

/** criu before 4.2 fails on sockets of kernels from 6.16 on (criu#2705). */
const OLDEST_CRIU: Version = [4, 2, 0];

/** What a node can do: its facts, and what keeps it from saving pods; null: nothing does. */
export interface Capability {
  readonly facts: NodeFacts | null;
  readonly problem: string | null;
}

/** Looks at its own rights and asks the programs that a dump needs. Never rejects: what cannot be asked is the problem. */
export async function capabilityOf(
  run: RunCommand,
  runtimeCommand: string,
  rightMissing: () => string | null = missingRight,
): Promise<Capability> {
  let facts: NodeFacts;
  try {
    facts = await readFacts(run, runtimeCommand);
  } catch (error) {
    return { facts: null, problem: messageOf(error) };
  }
  const criu = versionIn(facts.criu);
  if (criu === null || !isAtLeast(criu, OLDEST_CRIU)) {
    return { facts, problem: `criu ${facts.criu} is too old: install ${OLDEST_CRIU.join('.')} or later` };
  }
  const right = rightMissing();
  if (right !== null) return { facts, problem: right };
  try {
    await run('criu', ['check']);
    const { stdout } = await run('tar', ['--version']);
    if (!stdout.includes('GNU tar')) return { facts, problem: 'tar is not GNU tar: install it' };
  } catch (error) {
    return { facts, problem: messageOf(error) };
  }
  return { facts, problem: null };
}
