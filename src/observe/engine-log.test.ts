import { describe, expect, it } from 'vitest';
import { makeDisplacement, makeNode, makePod, makeTicket } from '../../test/support/builders.ts';
import type { Command } from '../engine/core/commands.ts';
import { EngineEvents } from '../engine/engine-events.ts';
import { logEngine } from './engine-log.ts';
import { createLog, type LogLevel } from './log.ts';

type Line = Readonly<Record<string, unknown>>;

function watched(level: LogLevel = 'debug'): { readonly events: EngineEvents; readonly lines: readonly Line[] } {
  const lines: Line[] = [];
  const events = new EngineEvents((error) => {
    throw error;
  });
  logEngine(events, createLog(level, { write: (line) => lines.push(JSON.parse(line) as Line) }));
  return { events, lines };
}

describe('logEngine', () => {
  it('writes one line for a displacement, and one for its end', () => {
    const { events, lines } = watched('info');
    const displacement = makeDisplacement();
    events.emit('displacement:opened', { displacement });
    events.emit('displacement:closed', { displacement, because: 'Bound', message: 'bound' });
    expect(lines).toMatchObject([
      {
        level: 'info',
        displacement: 'd1',
        cause: 'Preemption',
        beneficiary: 'default/high',
        nodes: ['n1'],
        pods: ['default/pod:Save'],
        deadline: '1970-01-01T00:01:00.000Z',
      },
      { level: 'info', displacement: 'd1', because: 'Bound' },
    ]);
  });

  it('warns of a pod that a policy selects and that goes unsaved, with the reason', () => {
    const { events, lines } = watched('warn');
    const { namespace, name, uid } = makePod();
    const why = { policy: 'batch', reason: 'AgentSilent', message: 'the agent of its node does not answer' } as const;
    events.emit('victim:unprotected', { victim: { namespace, name, uid }, ...why });
    expect(lines).toMatchObject([{ level: 'warn', pod: 'default/pod', podUid: uid, ...why }]);
  });

  it('counts milliseconds in whole ones, wherever they stand', () => {
    const lines: Line[] = [];
    const log = createLog('info', { write: (line) => lines.push(JSON.parse(line) as Line) });
    log.info({ tookMs: 37.804401000001235, ms: { dump: 1.5, sync: 2.25 }, share: 0.5 }, 'done');
    expect(lines).toMatchObject([{ tookMs: 38, ms: { dump: 2, sync: 2 }, share: 0.5 }]);
  });

  it('warns of records that contradict each other', () => {
    const { events, lines } = watched('warn');
    const object = makeTicket({ name: 't' });
    events.emit('record:contradiction', { kind: 'TwoClaims', object, what: 'w', resolution: 'r' });
    expect(lines).toMatchObject([
      { level: 'warn', kind: 'TwoClaims', ticket: 'default/t', what: 'w', resolution: 'r' },
    ]);
  });

  it('tells what was written, what moved, and what failed with its cause', () => {
    const { events, lines } = watched();
    const wake: Command = { kind: 'Wake', pod: makePod(), node: makeNode().name };
    const ticket = makeTicket({ name: 't' });
    const phase: Command = { kind: 'SetTicketPhase', ticket, phase: 'Restored', reason: 'Restored', message: 'm' };
    events.emit('command:done', { command: wake, outcome: 'done', error: null, refusal: null, tookMs: 4, restMs: 0 });
    events.emit('command:done', { command: phase, outcome: 'moved', error: null, refusal: null, tookMs: 4, restMs: 0 });
    events.emit('command:done', {
      command: wake,
      outcome: 'failed',
      error: new Error('503'),
      refusal: null,
      tookMs: 4,
      restMs: 0,
    });
    expect(lines).toMatchObject([
      { level: 'info', command: 'Wake', about: 'default/pod', outcome: 'done', tookMs: 4 },
      { level: 'debug', command: 'SetTicketPhase', about: 'default/t Restored Restored', outcome: 'moved' },
      { level: 'warn', command: 'Wake', outcome: 'failed', err: { message: '503' } },
    ]);
  });
});

describe('createLog', () => {
  it('lets no credential out, wherever it stands', () => {
    const lines: string[] = [];
    const log = createLog('info', { write: (line) => lines.push(line) });
    log.info(
      { token: 'hunter2', user: { password: 'hunter2' }, request: { headers: { authorization: 'hunter2' } } },
      'x',
    );
    expect(lines.join()).not.toContain('hunter2');
    expect(lines.join()).toContain('[redacted]');
  });

  it('says nothing below its level', () => {
    const lines: string[] = [];
    const log = createLog('warn', { write: (line) => lines.push(line) });
    log.info('no');
    log.warn('yes');
    expect(lines).toHaveLength(1);
  });
});
