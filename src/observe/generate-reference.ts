/**
 * Writes the marked tables of `REFERENCE.md` from the tables in the sources; the text around them is written by hand. With
 * `--check` it only compares, and exits with 1 on a difference.
 *
 *     node src/observe/generate-reference.ts [--check]
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { format } from 'prettier';
import { generate } from '../config/generated-file.ts';
import { configurationKeys, type ConfigurationKey } from '../config/keys.ts';
import { CONDITIONS } from '../domain/condition-reasons.ts';
import type { ConditionEntry } from '../domain/conditions/condition-entry.ts';
import { DEBUG_FIELDS } from './debug-fields.ts';
import { ERROR_CODES } from './error-codes.ts';
import { EVENT_REASONS } from './event-reasons.ts';
import { LABEL_VALUES } from './label-values.ts';
import { METRICS, type MetricEntry } from './metrics-table.ts';

type Row = readonly string[];

const TABLES: Readonly<Record<string, () => readonly Row[]>> = {
  configuration: () => [
    ['key', 'takes', 'default', 'meaning'],
    ...configurationKeys()
      .filter(({ type }) => type !== 'section')
      .map((key) => [code(key.path.join('.')), key.type, defaultOf(key), key.description]),
  ],
  metrics: () => [
    ['metric', 'type', 'labels', 'meaning'],
    ...Object.entries<MetricEntry>(METRICS).map(([name, { type, labels, help }]) => {
      return [code(name), type, labels.map(code).join(', '), help];
    }),
  ],
  labels: () => [
    ['metric', 'label', 'value', 'meaning'],
    ...LABEL_VALUES.flatMap(({ metric, label, values }) => {
      return Object.entries(values).map(([value, meaning]) => [code(metric), code(label), code(value), meaning]);
    }),
  ],
  events: () => [
    ['reason', 'type', 'written on', 'meaning'],
    ...Object.entries(EVENT_REASONS).map(([reason, { type, on, meaning }]) => [code(reason), type, on, meaning]),
  ],
  conditions: () => [
    ['of', 'type', 'written by', 'status', 'meaning'],
    ...conditionTypes().flatMap(({ kind, type, entry }) => {
      return Object.entries(entry.statuses).map(([status, meaning]) => {
        return [code(kind), code(type), entry.writer, code(status), meaning];
      });
    }),
  ],
  'condition-reasons': () => [
    ['of', 'type', 'status', 'reason', 'meaning'],
    ...conditionTypes().flatMap(({ kind, type, entry }) => {
      return Object.entries(entry.reasons).map(([reason, { status, meaning }]) => {
        return [code(kind), code(type), code(status), code(reason), meaning];
      });
    }),
  ],
  'debug-state': () => [
    ['field', 'meaning'],
    ...Object.entries(DEBUG_FIELDS).map(([field, meaning]) => [code(field), meaning]),
  ],
  errors: () => [
    ['code', 'HTTP status', 'worth a retry', 'message', 'meaning'],
    ...Object.entries(ERROR_CODES).map(([name, { status, retryable, message, meaning }]) => {
      return [code(name), String(status ?? ''), retryable ? 'yes' : 'no', message.split('\n')[0] ?? '', meaning];
    }),
  ],
};

function conditionTypes(): { readonly kind: string; readonly type: string; readonly entry: ConditionEntry }[] {
  return Object.entries(CONDITIONS).flatMap(([kind, types]) => {
    return Object.entries<ConditionEntry>(types).map(([type, entry]) => ({ kind, type, entry }));
  });
}

/** `text` with each marked table replaced by what the sources say. Throws when a mark is missing. */
export async function withTables(text: string): Promise<string> {
  let result = text;
  for (const [name, rows] of Object.entries(TABLES)) {
    const marked = new RegExp(`(<!-- generated: ${name} -->\n)[\\s\\S]*?(<!-- end -->)`);
    if (!marked.test(result))
      throw new Error(`REFERENCE.md lacks the mark <!-- generated: ${name} --> or its <!-- end -->`);
    result = result.replace(marked, (_whole, start: string, end: string) => `${start}\n${table(rows())}\n${end}`);
  }
  return format(result, { printWidth: 120, proseWrap: 'preserve', parser: 'markdown' });
}

function table([head = [], ...rows]: readonly Row[]): string {
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(cell).join(' | ')} |\n`).join('');
}

/** Braces and pipes mean something to some renderers of Markdown. */
function cell(text: string): string {
  return text.replace(/\|/g, '\\|').replace(/</g, '&lt;');
}

function code(text: string): string {
  return `\`${text}\``;
}

function defaultOf({ default: value, optionalAt }: ConfigurationKey): string {
  if (value !== undefined) return code(typeof value === 'string' ? value : JSON.stringify(value));
  return optionalAt !== null ? 'required where its mapping is set' : 'required';
}

async function main(check: boolean): Promise<void> {
  const path = join(import.meta.dirname, '../../REFERENCE.md');
  const wanted = await withTables(readFileSync(path, 'utf8'));
  const generator = 'src/observe/generate-reference.ts';
  generate({ path, wanted, name: 'REFERENCE.md', source: 'the sources', generator }, check);
}

if (import.meta.main) await main(process.argv.includes('--check'));
