import { describe, expect, it } from 'vitest';
import type { RunCommand } from '../runtime/command.ts';
import { capabilityOf } from './capability.ts';

function node(said: Readonly<Record<string, string | Error>> = {}): RunCommand {
  const answers: Readonly<Record<string, string | Error>> = {
    'runc --version': 'runc version 1.3.6\n',
    'criu --version': 'Version: 4.2.1\n',
    'criu check': 'Looks good.\n',
    'tar --version': 'tar (GNU tar) 1.35\n',
    ...said,
  };
  return (command, args) => {
    const answer = answers[[command, ...args].join(' ')] ?? new Error('not expected');
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve({ stdout: answer, stderr: '' });
  };
}

describe('capabilityOf', () => {
  it.each([
    ['a node as it should be', {}, null],
    ['a minor of two digits', { 'criu --version': 'Version: 4.10\n' }, null],
    ['an old criu', { 'criu --version': 'Version: 3.17.1\n' }, 'criu 3.17 is too old: install 4.2.0 or later'],
    ['no criu', { 'criu --version': new Error('criu cannot be started') }, 'criu cannot be started'],
    ['a kernel that lacks something', { 'criu check': new Error('criu failed (1)') }, 'criu failed (1)'],
    ['another tar', { 'tar --version': 'bsdtar 3.7\n' }, 'tar is not GNU tar: install it'],
  ])('of %s', async (_, said, problem) => {
    expect((await capabilityOf(node(said), 'runc', () => null)).problem).toBe(problem);
  });

  it('of an agent without a right that it needs', async () => {
    expect((await capabilityOf(node(), 'runc', () => 'the agent lacks it')).problem).toBe('the agent lacks it');
  });
});
