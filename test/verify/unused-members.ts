/**
 * `node test/verify/unused-members.ts`: names public members of the classes in `src` that nothing but tests uses, which knip does
 * not see; not in `src/sim`, which is there for tests too. By names alone: a member counts as used where any source has a use of its name, so that what is named is unused indeed.
 */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const MODIFIERS = String.raw`(?:(?:static|override|readonly|async|get|set)\s+|\*)*`;
/** A method, accessor or field, as the formatter indents it in a class or an interface. */
const MEMBER = new RegExp(String.raw`^ {2}${MODIFIERS}(\w+)\??[<(:;=]|^ {2}${MODIFIERS}(\w+) = `);
const NOT_MEMBERS = new Set(['constructor', 'private']);

interface Member {
  readonly file: string;
  readonly line: number;
  readonly of: string;
  readonly name: string;
}

function withoutComments(text: string): string {
  const blank = (comment: string): string => comment.replaceAll(/[^\n]/g, ' ');
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, blank).replaceAll(/(^|\s)\/\/.*$/gm, blank);
}

const declared: Member[] = [];
const used = new Set<string>();
const files = ['src/**/*.ts', 'bin/*.mjs', 'benchmarks/**/*.ts'].flatMap((pattern) => globSync(pattern, { cwd: root }));
for (const file of files.filter((name) => !name.endsWith('.test.ts'))) {
  let inside: { readonly kind: string; readonly name: string } | null = null;
  for (const [at, text] of withoutComments(readFileSync(join(root, file), 'utf8'))
    .split('\n')
    .entries()) {
    const opening = /^(?:export )?(?:abstract )?(class|interface) (\w+)/.exec(text);
    if (opening !== null) inside = { kind: opening[1] as string, name: opening[2] as string };
    else if (text.startsWith('}')) inside = null;
    const member = inside === null ? null : MEMBER.exec(text);
    const name = member?.[1] ?? member?.[2];
    const isDeclared = name !== undefined && !NOT_MEMBERS.has(name);
    if (isDeclared && inside?.kind === 'class' && /^src\/(?!sim\/)/.test(file))
      declared.push({ file, line: at + 1, of: inside.name, name });
    // What follows the name of a declaration may use others: parameters and their types do so, and do no harm.
    const rest = isDeclared ? text.slice((member?.index ?? 0) + (member?.[0].length ?? 0)) : text;
    for (const [word] of rest.matchAll(/\b\w+\b/g)) used.add(word);
  }
}

const unused = declared.filter(({ name }) => !used.has(name));
for (const { file, line, of, name } of unused) console.log(`${file}:${line} ${of}.${name} is used by tests at most`);
if (unused.length > 0) process.exitCode = 1;
