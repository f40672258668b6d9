import { readFile } from 'node:fs/promises';
import { parseDocument, type Document } from 'yaml';
import type { z } from 'zod';
import { messageOf } from '../domain/message-of.ts';
import { AppError } from '../observe/error-codes.ts';
import { resolved, type ReprieveConfiguration } from './configuration.ts';
import { nearestName } from './did-you-mean.ts';
import { API_VERSION, configurationSchema, KIND } from './schema.ts';

/** A configuration file that is not valid: every problem, one line each. */
export class ConfigurationError extends AppError {
  override readonly name = 'ConfigurationError';
  readonly problems: readonly string[];

  constructor(path: string, problems: readonly string[]) {
    super('ConfigurationInvalid', { path, count: problems.length, problems: problems.join('\n') });
    this.problems = problems;
  }
}

/**
 * The configuration in a YAML or JSON file, defaults filled in. Rejects with a {@link ConfigurationError}, or with
 * `ConfigurationUnreadable`.
 *
 * @example
 * const { server } = await loadConfiguration('/etc/reprieve/reprieve.yaml');
 */
export async function loadConfiguration(path: string): Promise<ReprieveConfiguration> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new AppError('ConfigurationUnreadable', { path, cause: cause instanceof Error ? cause.message : '' }, cause);
  }
  return parseConfiguration(text, path);
}

/** {@link loadConfiguration} for a text; `path` only names it in errors. */
export function parseConfiguration(text: string, path: string): ReprieveConfiguration {
  const document = documentOf(text, path);
  // A warning is a tag that means nothing here: what stands behind it would be taken for something else than was meant.
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0) {
    throw new ConfigurationError(
      path,
      faults.map(({ linePos, code, message: text }) => {
        const message =
          code === 'MULTIPLE_DOCS' ? 'a second YAML document begins; a configuration is one document' : text;
        const [summary = ''] = message.replace(/ at line \d+, column \d+:?/, '').split('\n');
        return linePos === undefined ? summary : `line ${linePos[0].line}, column ${linePos[0].col}: ${summary}`;
      }),
    );
  }
  const isEmpty = document.contents === null && document.errors.length === 0;
  if (isEmpty)
    throw new ConfigurationError(path, [`file: empty, expected at least apiVersion: ${API_VERSION} and kind: ${KIND}`]);
  const parsed = configurationSchema.safeParse(valueOf(document, path), { reportInput: true });
  // Several checks of one key say the same.
  if (!parsed.success) throw new ConfigurationError(path, [...new Set(parsed.error.issues.flatMap(problemsOf))]);
  return resolved(parsed.data);
}

function documentOf(text: string, path: string): Document {
  try {
    return parseDocument(text, { logLevel: 'error' }); // JSON is YAML
  } catch {
    // It collects what is wrong in a file. That it throws is the end of the stack.
    throw new ConfigurationError(path, ['file: nests too deep to be read']);
  }
}

function valueOf(document: Document, path: string): unknown {
  try {
    return document.toJS();
  } catch (cause) {
    // Aliases are followed only now: one without an anchor, or so many that the file would fill the memory.
    throw new ConfigurationError(path, [`file: ${messageOf(cause)}`]);
  }
}

function problemsOf(issue: z.core.$ZodIssue): string[] {
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(path);
    return issue.keys.map((key) => {
      const meant = nearestName(key, known);
      const hint = meant === null ? `expected one of ${known.join(', ')}` : `did you mean ${meant}?`;
      return `${[...path, key].join('.')}: unknown key; ${hint}`;
    });
  }
  const expected = issue.message.startsWith('Invalid input: expected object') ? 'a mapping with keys' : issue.message;
  return [`${path.join('.') || 'file'}: found ${shown(issue.input)}, expected ${expected}`];
}

/** Keys that the mapping at `path` may have. */
function keysAt(path: readonly string[]): readonly string[] {
  let schema: unknown = configurationSchema;
  for (const key of path) schema = shapeOf(schema)[key];
  return Object.keys(shapeOf(schema));
}

/** Members of an object schema, through the wrappers that give it a default or allow null. */
function shapeOf(schema: unknown): Readonly<Record<string, unknown>> {
  let inner = schema as { shape?: Readonly<Record<string, unknown>>; unwrap?: () => unknown } | undefined;
  while (inner !== undefined && inner.shape === undefined) inner = inner.unwrap?.() as typeof inner;
  return inner?.shape ?? {};
}

function shown(input: unknown): string {
  if (input === undefined) return 'nothing';
  if (Array.isArray(input)) return 'a list';
  if (typeof input === 'object' && input !== null) return 'a mapping';
  // JSON has no word for infinity, and would call it null.
  const text = typeof input === 'number' ? String(input) : JSON.stringify(input);
  return text.length <= 60 ? text : `${text.slice(0, 57)}…`;
}
