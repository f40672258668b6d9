import { Command, InvalidArgumentError } from 'commander';
import { parseDuration } from '../domain/duration.ts';

/** Subcommands load their code when they run: `--help` must not wait for a server's dependencies. */
export const program = new Command('reprieve')
  .description('Saves low-priority pods before kube-scheduler preempts them, and brings them back.')
  .showHelpAfterError('(reprieve --help lists what there is)')
  .configureHelp({ helpWidth: 80 });

program
  .command('serve')
  .description('run the extender, the webhook and the controller')
  .option('-c, --config <file>', 'ReprieveConfiguration, YAML or JSON; defaults without it')
  .action(async (options: { config?: string }) => {
    const { serve } = await import('./serve.ts');
    process.exitCode = await serve(options);
  });

program
  .command('agent')
  .description('save and restore the pods of this node; as root')
  .option('-c, --config <file>', 'ReprieveConfiguration, YAML or JSON; defaults without it')
  .action(async (options: { config?: string }) => {
    const { agent } = await import('./agent.ts');
    process.exitCode = await agent(options);
  });

program
  .command('uninstall')
  .description('settle what needs Reprieve in the cluster, before its objects are deleted')
  .option('-c, --config <file>', 'ReprieveConfiguration, YAML or JSON; defaults without it')
  .option('--dry-run', 'only say what would be done', false)
  .option('--discard', 'delete saved work that no pod continues yet', false)
  .option('--agent-timeout <duration>', 'how long agents may take to release their checkpoints', duration, 60_000)
  .action(async (options: { config?: string; dryRun: boolean; discard: boolean; agentTimeout: number }) => {
    const { uninstall } = await import('./uninstall.ts');
    process.exitCode = await uninstall({ ...options, agentTimeoutMs: options.agentTimeout });
  });

program
  .command('demo')
  .description('play a cluster in this process: it is preempted and loses no work')
  .option('--once', 'end after the story', false)
  .option('--json', 'print only the figures, as one JSON object; implies --once', false)
  .option('--seed <number>', 'another story', wholeNumber, 1)
  .option('--speed <factor>', 'simulated seconds per second', positiveNumber, 30)
  .action(async (options: { once: boolean; json: boolean; seed: number; speed: number }) => {
    const { demo } = await import('./demo.ts');
    process.exitCode = await demo(options);
  });

const node = program.command('node').description('prepare this machine for saving and restoring pods');

node
  .command('install')
  .description('install the runtime wrapper and its runtime handler; a second run changes nothing')
  .option('--dry-run', 'only say what would be done', false)
  .option('--root <folder>', 'the node’s root folder', '/')
  .option('--runtime <path>', 'the OCI runtime; otherwise the one that containerd uses')
  .action(async (options: { dryRun: boolean; root: string; runtime?: string }) => {
    const { nodeInstall } = await import('./node.ts');
    process.exitCode = nodeInstall(options);
  });

node
  .command('uninstall')
  .description('take back what install did, and keep what others changed')
  .option('--dry-run', 'only say what would be done', false)
  .option('--root <folder>', 'the node’s root folder', '/')
  .action(async (options: { dryRun: boolean; root: string }) => {
    const { nodeUninstall } = await import('./node.ts');
    process.exitCode = nodeUninstall(options);
  });

node
  .command('doctor')
  .description('say what this node has and lacks; exits with 1 when it lacks something')
  .option('--json', 'as one JSON object', false)
  .action(async (options: { json: boolean }) => {
    const { nodeDoctor } = await import('./node.ts');
    process.exitCode = nodeDoctor(options);
  });

function duration(text: string): number {
  const valueMs = parseDuration(text);
  if (valueMs === null) throw new InvalidArgumentError('It must be a duration such as 90s or 5m.');
  return valueMs;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new InvalidArgumentError('It must be a whole number, 0 or more.');
  return value;
}

function positiveNumber(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new InvalidArgumentError('It must be a number greater than 0.');
  return value;
}
