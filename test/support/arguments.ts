import { parseArgs, type ParseArgsConfig, type ParseArgsOptionsConfig } from 'node:util';

/** The options of a runner's command line. What it does not know, and `--help`, end the process with the usage (2 and 0). */
export function argumentsOf<T extends ParseArgsOptionsConfig>(
  usage: string,
  options: T,
  config: Omit<ParseArgsConfig, 'options' | 'args'> = {},
): ReturnType<typeof parseArgs<{ options: T }>>['values'] {
  let isHelp: boolean | undefined;
  try {
    const asked = parseArgs({ ...config, options: { ...options, help: { type: 'boolean', short: 'h' } } });
    isHelp = (asked.values as { readonly help?: boolean }).help;
  } catch (error) {
    if (!(error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS')) throw error;
    return refuse(usage, (error as Error).message);
  }
  if (isHelp) {
    console.log(usage);
    process.exit(0);
  }
  return parseArgs({ ...config, options }).values;
}

/** A whole number of at least `least`; anything else ends the process with the usage. */
export function wholeNumber(usage: string, name: string, text: string, least = 0): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least) return value;
  return refuse(usage, `--${name} takes a whole number of at least ${least}, not "${text}"`);
}

/** One of these words; anything else ends the process with the usage. */
export function oneWordOf(usage: string, name: string, text: string, words: readonly string[]): string {
  if (words.includes(text)) return text;
  return refuse(usage, `--${name} takes ${words.join(', ')}, not "${text}"`);
}

function refuse(usage: string, message: string): never {
  console.error(`${message}\n\n${usage}`);
  process.exit(2);
}
