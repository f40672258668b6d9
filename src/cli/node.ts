import { spawnSync } from 'node:child_process';
import { doctor } from '../node-setup/doctor.ts';
import { install, type Outcome } from '../node-setup/install.ts';
import { uninstall } from '../node-setup/uninstall.ts';
import { AppError } from '../observe/error-codes.ts';
import { whenNobodyReads } from './process.ts';

export interface NodeOptions {
  readonly root: string;
  readonly dryRun: boolean;
}

/** Returns the exit code. */
export function nodeInstall(options: NodeOptions & { readonly runtime?: string }): number {
  return reporting(() => {
    const { outcomes, needsRestart } = install({ ...options, containerdMajor: () => containerdMajor(options.root) });
    for (const outcome of outcomes) print(lineOf(outcome, options.dryRun));
    if (needsRestart && !options.dryRun) {
      print(
        '\ncontainerd reads its configuration when it starts: systemctl restart containerd\n(pods that run are not touched by that)',
      );
    }
    return 0;
  });
}

export function nodeUninstall(options: NodeOptions): number {
  return reporting(() => {
    const outcomes = uninstall(options);
    if (outcomes.length === 0) print('nothing to do: nothing was installed here');
    for (const outcome of outcomes) print(lineOf(outcome, options.dryRun));
    if (outcomes.length > 0 && !options.dryRun)
      print('\ncontainerd reads its configuration when it starts: systemctl restart containerd');
    return 0;
  });
}

export function nodeDoctor({ json }: { readonly json: boolean }): number {
  return reporting(() => {
    const findings = doctor();
    const isFit = findings.every(({ state }) => state !== 'missing');
    if (json) {
      print(JSON.stringify({ fit: isFit, checks: findings }, null, 2));
    } else {
      for (const { check, state, found, remedy } of findings) {
        print(wrapped(`${state.padEnd(9)}${check.padEnd(16)}`, found));
        if (remedy !== null) print(wrapped(' '.repeat(25), remedy));
      }
      print(isFit ? '\nThis node can save and restore pods.' : '\nThis node cannot save and restore pods yet.');
    }
    return isFit ? 0 : 1;
  });
}

function lineOf({ path, what, outcome, detail }: Outcome, dryRun: boolean): string {
  const words = {
    written: dryRun ? 'would write' : 'written',
    unchanged: 'nothing to do',
    removed: dryRun ? 'would remove' : 'removed',
    restored: dryRun ? 'would restore' : 'restored',
    kept: 'kept',
  } as const;
  return `${words[outcome].padEnd(14)} ${path}: ${what}${detail === undefined ? '' : `; ${detail}`}`;
}

/** In 80 columns, later lines below the first word of `text`. */
function wrapped(head: string, text: string): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) as string;
    if (line !== '' && head.length + line.length + 1 + word.length > 80) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.map((line, at) => (at === 0 ? head : ' '.repeat(head.length)) + line).join('\n');
}

/** Null where it cannot be asked: below another root nothing is run. */
function containerdMajor(root: string): number | null {
  if (root !== '/') return null;
  const { stdout } = spawnSync('containerd', ['--version'], { encoding: 'utf8' });
  const major = /\bv?(\d+)\.\d+\.\d+/.exec(stdout ?? '')?.[1];
  return major === undefined ? null : Number(major);
}

function reporting(run: () => number): number {
  whenNobodyReads(() => undefined); // everything is done by then
  try {
    return run();
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    process.stderr.write(`reprieve: ${error.message}\n`);
    return 1;
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
