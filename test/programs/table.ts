import { DATABASES } from './rows/databases.ts';
import { PYTHON } from './rows/python.ts';
import { RUNTIMES } from './rows/runtimes.ts';
import { SERVERS } from './rows/servers.ts';
import { TOOLS } from './rows/tools.ts';
import { treeOf, type ProgramsTree } from './trees.ts';
import type { Program } from './types.ts';

/** Every program of the matrix, in its order. */
export const PROGRAMS: readonly Program[] = [...DATABASES, ...SERVERS, ...PYTHON, ...RUNTIMES, ...TOOLS];

/** Those that a command line names: `--sample`, slugs, or nothing, which is all. Throws an Error for one that is not there. */
export function chosen(args: readonly string[]): readonly Program[] {
  if (args.includes('--sample')) return PROGRAMS.filter(({ image }) => image === 'sample');
  const slugs = args.filter((arg) => !arg.startsWith('--'));
  const unknown = slugs.find((slug) => PROGRAMS.every((program) => program.slug !== slug));
  if (unknown !== undefined)
    throw new Error(`no program ${unknown}; there are ${PROGRAMS.map(({ slug }) => slug).join(' ')}`);
  return slugs.length === 0 ? PROGRAMS : PROGRAMS.filter(({ slug }) => slugs.includes(slug));
}

/** The trees of these programs. What others of the same image need is in it as well, so that one tree serves every command line. */
export function treesOf(programs: readonly Program[]): readonly ProgramsTree[] {
  return [...new Set(programs.map(({ image }) => image))].map((image) => treeOf(image, PROGRAMS));
}
