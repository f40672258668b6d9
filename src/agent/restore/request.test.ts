import { describe, expect, it } from 'vitest';
import { answerLine, parseRequest } from './request.ts';

const POD = '6f1b4f0e-8a51-4d3c-9f0a-0d7c2f4b1e11';
const GOOD = {
  kind: 'container',
  pod: POD,
  sandbox: 'abc',
  container: 'worker',
  id: 'def',
  bundle: '/run/b',
  attempt: '0',
  process: '12:3456',
};

function text(changes: Readonly<Record<string, string | null>>): string {
  const lines = Object.entries({ ...GOOD, ...changes }).filter(([, value]) => value !== null);
  return lines.map(([key, value]) => `${key}=${value}\n`).join('');
}

describe('parseRequest', () => {
  it('reads what the wrapper writes', () => {
    expect(parseRequest(text({}), 'def')).toEqual({
      kind: 'container',
      podUid: POD,
      sandboxId: 'abc',
      container: 'worker',
      id: 'def',
      bundle: '/run/b',
      attempt: 0,
      process: '12:3456',
    });
    expect(parseRequest(text({ kind: 'sandbox', container: '', process: '', attempt: '2' }), 'def')).toMatchObject({
      kind: 'sandbox',
      container: null,
      process: null,
      attempt: 2,
    });
  });

  it('skips what it does not know, and needs no process', () => {
    expect(parseRequest(text({ process: null, later: 'x=y' }), 'def')).toMatchObject({ id: 'def', process: null });
  });

  it.each<[string, string]>([
    ['nothing', ''],
    ['a line without a key', `${text({})}=x\n`],
    ['no lines at all', 'garbage'],
    ['a key twice', `${text({})}id=def\n`],
    ['a missing key', text({ bundle: null })],
    ['a kind nobody knows', text({ kind: 'pod' })],
    ['a uid that is a path', text({ pod: '../..' })],
    ['a name that is a path', text({ container: '../x' })],
    ['a name for a sandbox', text({ kind: 'sandbox' })],
    ['no name for a container', text({ container: '' })],
    ['a bundle that is relative', text({ bundle: 'b' })],
    ['a bundle with a control character', text({ bundle: '/b\u0001' })],
    ['an attempt that is no number', text({ attempt: '-1' })],
    ['a process that is none', text({ process: '1/../2:3' })],
    ['the id of another container', text({ id: 'xyz' })],
    ['an id that is a path', text({ id: '../def' })],
  ])('refuses %s', (_, lines) => {
    expect(parseRequest(lines, 'def')).toBeTypeOf('string');
  });
});

describe('answerLine', () => {
  it('is one line of words', () => {
    expect(answerLine({ kind: 'pass' })).toBe('pass\n');
    const paths = { imagePath: '/a', workPath: '/b' };
    expect(answerLine({ kind: 'restore', ...paths, held: false })).toBe('restore /a /b\n');
    expect(answerLine({ kind: 'restore', ...paths, held: true })).toBe('restore-held /a /b\n');
  });

  it('keeps a message printable', () => {
    expect(answerLine({ kind: 'refuse', message: 'no "room"\n left: \\ – 5 %' })).toBe(
      "refuse no 'room' left: ? ? 5 %\n",
    );
    expect(answerLine({ kind: 'refuse', message: '\n' })).toBe('refuse no reason given\n');
    expect(answerLine({ kind: 'refuse', message: 'x'.repeat(9999) })).toHaveLength('refuse \n'.length + 1000);
  });

  it.each(['relative', '/a b', '/a\nb', ''])('throws for the path "%s"', (imagePath) => {
    expect(() => answerLine({ kind: 'restore', imagePath, workPath: '/w', held: false })).toThrow('not a path');
  });
});
