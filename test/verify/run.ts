/**
 * `npm run verify`: everything about the sources that needs no running program. Each check is a command that a developer
 * can run alone; all are run, so that one pass shows all that is wrong. Ends with a diff check: verifying changes nothing.
 */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Check {
  readonly name: string;
  readonly command: readonly string[];
  /** What to run when it fails. */
  readonly remedy: string;
}

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const tool = (path: string): string => join('node_modules', path);
const node = process.execPath;

const checks: readonly Check[] = [
  { name: 'types', command: [tool('.bin/tsc'), '--noEmit', '-p', '.'], remedy: 'mend the types' },
  {
    name: 'lint',
    command: [tool('.bin/oxlint'), '--type-aware', '--deny-warnings', 'src', 'test', 'benchmarks'],
    remedy: 'mend what it names',
  },
  { name: 'format', command: [tool('.bin/prettier'), '--check', '--log-level', 'warn', '.'], remedy: 'npm run format' },
  { name: 'unused', command: [tool('.bin/knip'), '--no-progress'], remedy: 'remove what nobody uses' },
  { name: 'members', command: [node, 'test/verify/unused-members.ts'], remedy: 'remove what nobody uses' },
  { name: 'crds', command: [node, 'src/kube/crd/generate.ts', '--check'], remedy: 'node src/kube/crd/generate.ts' },
  { name: 'rbac', command: [node, 'src/kube/generate-rbac.ts', '--check'], remedy: 'node src/kube/generate-rbac.ts' },
  {
    name: 'configuration',
    command: [node, 'src/config/generate.ts', '--check'],
    remedy: 'node src/config/generate.ts',
  },
  {
    name: 'reference',
    command: [node, 'src/observe/generate-reference.ts', '--check'],
    remedy: 'node src/observe/generate-reference.ts',
  },
  {
    name: 'compatibility',
    command: [node, 'test/programs/report.ts', '--check'],
    remedy: 'node test/programs/report.ts',
  },
];

const before = treeState();
let failed = 0;
for (const check of checks) {
  const [command, ...args] = check.command as [string, ...string[]];
  const started = performance.now();
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: root, encoding: 'utf8' });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (status === 0) {
    console.log(`ok      ${check.name} (${seconds} s)`);
    continue;
  }
  failed++;
  console.log(`FAILED  ${check.name} (${seconds} s): ${check.remedy}`);
  console.log(indent(error ? String(error) : `${stdout}${stderr}`));
}
if (treeState() === before) {
  console.log('ok      no diff');
} else {
  failed++;
  console.log('FAILED  no diff: a check changed files; commit or discard them');
}
console.log(`verify: ${checks.length + 1 - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

function treeState(): string {
  return spawnSync('git', ['status', '--porcelain=v1', '--untracked-files=all'], { cwd: root, encoding: 'utf8' })
    .stdout;
}

function indent(text: string): string {
  return text
    .trimEnd()
    .split('\n')
    .slice(0, 200)
    .map((line) => `        ${line}`)
    .join('\n');
}
