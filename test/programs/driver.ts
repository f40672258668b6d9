/** Inside the network of the run: boots the nodes once, and plays one program after the other. */
import { policy } from '../cluster/story/workloads.ts';
import { NodeBed } from '../node/bed/bed.ts';
import { archiveOf } from './images.ts';
import { play } from './play.ts';
import { record, recordLeftOut } from './results.ts';
import { chosen, treesOf } from './table.ts';
import { missingIn } from './trees.ts';
import type { Program, Result } from './types.ts';

const args = process.argv.slice(2);
const records = args.includes('--record');
const programs = chosen(args);
const trees = treesOf(programs);
const missing = new Set((await Promise.all(trees.map(missingIn))).flat());
let passed = 0;
let failed = 0;
let leftOut = 0;
{
  await using bed = await NodeBed.start({ agents: {}, images: trees.map(archiveOf) });
  const criu = (await bed.node('node1').run('criu', '--version')).replace(/^Version: (\S+)[^]*$/, 'CRIU $1');
  await bed.cluster.applyObjects(policy('batch', 'batch'));
  await bed.cluster.waitForDefaultServiceAccount();
  for (const program of programs) {
    const lacks = lackOf(program);
    if (lacks.length > 0) {
      leftOut++;
      if (records) recordLeftOut(program.slug, lacks);
      console.log(`left out  ${program.slug}: no registry has ${lacks.join(', ')}`);
      continue;
    }
    try {
      const result = await play(bed, program);
      if (records) record(program.slug, result, criu);
      if (isWrong(program, result)) failed++;
      else passed++;
      console.log(`${result.verdict.padEnd(8)}  ${program.slug}: ${told(result)}`);
    } catch (error) {
      failed++;
      console.log(`failed    ${program.slug}: ${(error as Error).message}`);
    }
  }
}
console.log(`${passed} passed, ${failed} failed, ${leftOut} skipped`);
process.exitCode = failed === 0 ? 0 : 1;

function lackOf({ needs }: Program): string[] {
  return Object.values(needs as Readonly<Record<string, readonly string[]>>)
    .flat()
    .filter((name) => missing.has(name));
}

function isWrong({ mustBeWhole }: Program, { verdict, left = [] }: Result): boolean {
  return verdict === 'late' || left.length > 0 || (mustBeWhole === true && verdict !== 'whole');
}

function told({ why, bytes = 0, savedMs = 0, restoredMs = 0, left = [] }: Result): string {
  const what = why ?? `${(bytes / 2 ** 20).toFixed(0)} MiB, saved in ${savedMs} ms, restored in ${restoredMs} ms`;
  return [what, ...left.map((line) => `LEFT BEHIND ${line}`)].join('\n          ');
}
