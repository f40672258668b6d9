import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CONDITIONS, type ConditionOf, type TicketReason } from './condition-reasons.ts';
import type { ConditionEntry } from './conditions/condition-entry.ts';

const ENTRIES = Object.entries(CONDITIONS).flatMap(([kind, types]) =>
  Object.entries<ConditionEntry>(types).map(([type, entry]) => ({ kind, type, entry })),
);

/** What writes conditions: the engine and its adapters, the agents, and the command that ends all. */
function writers(): string {
  const src = join(import.meta.dirname, '..');
  return ['engine', 'kube', 'agent', 'app/uninstall', 'sim/nodes']
    .flatMap((folder) =>
      readdirSync(join(src, folder), { recursive: true, encoding: 'utf8' }).map((file) => join(src, folder, file)),
    )
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .concat(join(src, 'domain/policy-findings.ts'), join(src, 'app/webhook-watch.ts'))
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n');
}

describe('condition reasons', () => {
  it('are what the API server takes', () => {
    for (const { entry } of ENTRIES)
      for (const reason of Object.keys(entry.reasons)) expect(reason).toMatch(/^[A-Z][A-Za-z]{0,127}$/);
  });

  it('stand with a status that is explained, and every status has a reason', () => {
    for (const { kind, type, entry } of ENTRIES) {
      const used = new Set(Object.values(entry.reasons).map(({ status }) => status));
      expect([kind, type, [...used].toSorted()]).toEqual([kind, type, Object.keys(entry.statuses).toSorted()]);
    }
  });

  it('are all written by somebody: the reference promises them', () => {
    const text = writers();
    const unwritten = ENTRIES.flatMap(({ entry }) => Object.keys(entry.reasons)).filter(
      (reason) => !text.includes(`'${reason}'`),
    );
    expect(unwritten).toEqual([]);
  });

  it('cannot be written where the table does not have them', () => {
    const good: ConditionOf<'PodCheckpoint'> = { type: 'Frozen', status: 'True', reason: 'Held', message: '' };
    // @ts-expect-error a reason stands with its own status only
    const swapped: ConditionOf<'PodCheckpoint'> = { type: 'Frozen', status: 'True', reason: 'Thawed', message: '' };
    // @ts-expect-error of another type
    const foreign: ConditionOf<'PodCheckpoint'> = { type: 'Ready', status: 'True', reason: 'Held', message: '' };
    // @ts-expect-error in no table
    const unknown: TicketReason = 'Because';
    expect([good, swapped, foreign, unknown]).toHaveLength(4);
  });
});
