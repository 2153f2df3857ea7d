import path from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { PROVIDERS } from '../ml/engine/session.ts';
import { GGUF_TYPES } from '../ml/models/gguf.ts';
import { type ExportOptions as ArchiveOptions, exportRun, type ImportOptions, importRun } from './commands/archive.ts';
import { completion } from './commands/completion.ts';
import { doctor } from './commands/doctor.ts';
import { evaluate } from './commands/eval.ts';
import { EXPORT_FORMATS, type ExportOptions, exportModel } from './commands/export.ts';
import { type InviteOptions, invite } from './commands/invite.ts';
import { type JoinOptions, join } from './commands/join.ts';
import { type CheckOptions, checkMeter, listMeters } from './commands/meters.ts';
import { type OwnerOptions, owner } from './commands/owner.ts';
import { type ProvideOptions, provide } from './commands/provide.ts';
import { type QuickstartOptions, quickstart } from './commands/quickstart.ts';
import { type ReceiptsOptions, receipts } from './commands/receipts.ts';
import { runs } from './commands/runs.ts';
import { type SampleCommandOptions, sample } from './commands/sample.ts';
import { type ServeOptions, serve } from './commands/serve.ts';
import { admit, status } from './commands/status.ts';
import { type TrainOptions, train } from './commands/train.ts';
import { configure } from './config.ts';
import { asTyped, type CommandContext, VERSION } from './context.ts';

const whole =
  (low: number, high: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < low || value > high) {
      throw new InvalidArgumentError(`It must be a whole number from ${low} to ${high}.`);
    }
    return value;
  };
const number =
  (low: number, high: number) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= low && value <= high)) {
      throw new InvalidArgumentError(`It must be a number from ${low} to ${high}.`);
    }
    return value;
  };
/** Seconds. */
const duration = (text: string): number => {
  const [, value, unit] = /^(\d+(?:\.\d+)?)\s*([smhd])$/.exec(text) ?? [];
  const seconds = Number(value) * { s: 1, m: 60, h: 3_600, d: 86_400 }[unit as 's' | 'm' | 'h' | 'd'];
  if (!(seconds >= 1 && seconds <= 3.2e9)) throw new InvalidArgumentError('It must be like 30m, 24h or 7d.');
  return seconds;
};
/** `48.0,7.85`: degrees north and east. */
const coordinates = (text: string): { readonly latitudeDeg: number; readonly longitudeDeg: number } => {
  const [latitudeDeg, longitudeDeg, ...more] = text
    .split(',')
    .map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  if (more.length > 0 || !(Math.abs(latitudeDeg!) <= 90) || !(Math.abs(longitudeDeg!) <= 180))
    throw new InvalidArgumentError('It must be latitude and longitude in degrees, as 48.0,7.85.');
  return { latitudeDeg: latitudeDeg!, longitudeDeg: longitudeDeg! };
};
const device = (): Option =>
  new Option('--device <name>', 'device to compute on; `heliotrope doctor` lists what is installed')
    .choices(PROVIDERS.filter((p) => p !== 'wasm'))
    .default('cpu');
const collect = (value: string, before: readonly string[] | undefined): readonly string[] => [...(before ?? []), value];

/** Commands that run as services: their options also come from a file and from the environment. */
const CONFIGURED = new Set(['serve', 'join']);

const islands = ['--islands <n>', 'number of islands, instead of `islands` in the run file', whole(1, 1_000)] as const;

export function buildProgram(finish: (status: number) => void): Command {
  const program: Command = new Command('heliotrope')
    .description('Train AI where the energy is: islands of compute that train one model together.')
    .version(VERSION)
    .option('--json', 'print the result as one JSON object on stdout')
    .option('--runs <folder>', 'folder of runs', process.env.HELIOTROPE_RUNS ?? 'runs')
    .showSuggestionAfterError()
    .configureHelp({
      showGlobalOptions: true,
      // `--json` is an option of each command as well: it is listed once.
      visibleGlobalOptions: (self) => (self === program ? [] : program.options.filter(({ long }) => long !== '--json')),
    })
    .configureOutput({ writeOut: (text) => process.stdout.write(asTyped(text)) })
    .exitOverride();
  const context = (): CommandContext => {
    const { json, runs: folder } = program.opts<{ json?: boolean; runs: string }>();
    return { json: json === true, runs: path.resolve(folder), environment: process.env };
  };
  const command = (name: string, description: string, example: string): Command =>
    program
      .command(name)
      .description(description)
      .option('--json', 'print the result as one JSON object on stdout')
      .addHelpText('after', `\nExamples:\n${example}`)
      .hook('preAction', (_, self) => {
        if (self.opts().json === true) program.setOptionValue('json', true);
        if (CONFIGURED.has(self.name())) configure(self, process.env);
      });

  command(
    'quickstart',
    'train a small model on six novels across four islands, on this machine',
    '  heliotrope quickstart\n  heliotrope quickstart --compare',
  )
    .option('--sun', 'in five simulated homes around the globe: training follows the sun')
    .option('--compare', 'also train one island alone and a synchronous run, and compare their curves in the report')
    .action(async (options: QuickstartOptions) => finish(await quickstart(options, context())));
  command(
    'train [run.yaml]',
    'train on this machine: a coordinator and its islands',
    '  heliotrope train examples/minimal.yaml\n  heliotrope train run.yaml --islands 2 --dry-run\n  heliotrope train --resume my-run\n\nA run file needs only this:\n  data: ./texts/*.txt',
  )
    .option(...islands)
    .option('--resume <run>', 'resume an interrupted run from its last checkpoint')
    .addOption(device())
    .option('--homes <file>', 'islands live in these simulated homes: they train when sun, battery and grid say so')
    .option('--speed <times>', 'with --homes: how much faster their clock is; default: 1440x, a day in a minute')
    .option('--dry-run', 'train nothing; print an estimate of memory, bytes, time and energy, with warnings')
    .action(async (file: string | undefined, options: TrainOptions) => finish(await train(file, options, context())));
  command(
    'serve [run.yaml]',
    'host a run that islands join',
    '  heliotrope serve run.yaml\n  heliotrope serve run.yaml --host 0.0.0.0 --port 7420 --islands 8',
  )
    .option(...islands)
    .option('--resume <run>', 'resume an interrupted run from its last checkpoint')
    .option('--host <address>', 'address to listen on; default: 127.0.0.1, or the last address of a resumed run')
    .option(
      '--port <n>',
      'port to listen on; 0 takes any free one; default: 7420, or the last port of a resumed run',
      whole(0, 65_535),
    )
    .option('--wait <seconds>', 'how long to wait while no island is connected', number(1, 1e7), 3_600)
    .option('--lease <seconds>', 'silence after which an island counts as gone', number(1, 3_600), 15)
    .option('--no-lan', 'do not announce the run on the local network')
    .option('--announce <address>', 'public address to put into invitations, as HOST:PORT; may be repeated', collect)
    .option(
      '--allow-origin <origin>',
      'origin of a web page that may connect, like https://example.org; may be repeated',
      collect,
    )
    .addOption(
      new Option(
        '--tls <kind>',
        'self-signed: make a certificate, whose fingerprint is in each invitation (default for any address but loopback). none: a proxy encrypts',
      ).choices(['self-signed', 'none']),
    )
    .option('--tls-cert <file>', 'encrypt with this certificate (PEM)')
    .option('--tls-key <file>', 'private key of --tls-cert (PEM)')
    .option('--store <url>', "postgres://USER@HOST:PORT/DATABASE for the run's events; default: a file in its folder")
    .option('--blobs <url>', 's3://BUCKET/PREFIX for its checkpoints and merges; default: files in its folder')
    .option(
      '--store-patience <seconds>',
      'how long to retry when --store or --blobs does not answer',
      number(1, 86_400),
      60,
    )
    .option('--continue', 'resume the run of this name if there is one that is not finished')
    .option('--config <file>', 'YAML file of these options; the environment (HELIOTROPE_PORT …) overrides it')
    .addOption(new Option('--log <format>', 'structured log lines on stderr').choices(['json']))
    .option('--jsonl', 'print every record as a line of JSON on stdout')
    .option('--parent', 'stop when stdin is closed')
    .action(async (file: string | undefined, options: ServeOptions) => finish(await serve(file, options, context())));
  command(
    'join [invitation]',
    'join a run as one island: by its link, or by its code on the local network; without either, list the runs on this network',
    "  heliotrope join                 # runs on this network\n  heliotrope join amber-fox-42\n  heliotrope join 'https://192.168.1.20:7420/join#fingerprint=…&invitation=…'\n  heliotrope join LINK --name attic --threads 4 --data ./my-texts\n  heliotrope join LINK --data-root /mnt/texts   # this machine has a copy of the run's files",
  )
    .option('--name <name>', "the island's name; use the same name to come back")
    .option('--threads <n>', 'threads to compute with; default: all', whole(1, 1_024))
    .addOption(device())
    .option(
      '--state <folder>',
      "folder for this island's key and checkpoints; default: in $HELIOTROPE_HOME, or ~/.local/state/heliotrope",
    )
    .option('--site <file>', 'site.yaml: train only when sun, battery, grid and owner allow it')
    .addOption(new Option('--simulated-home <file#name>').hideHelp())
    .addOption(new Option('--site-clock <clock>').hideHelp())
    .option('--data <path>', 'train on all of these files, instead of the files of the run; may be repeated', collect)
    .option(
      '--data-root <folder>',
      'folder in which the run may read the files that it names (with --data: for validation only); may be repeated',
      collect,
    )
    .option(
      '--at <address>',
      'HOST:PORT of the host, to use a code on a network without multicast; may be repeated',
      collect,
    )
    .option('--patience <seconds>', 'how long to retry when no coordinator answers', number(0, 1e7), 3_600)
    .option('--no-evaluate', 'never validate the model for the run')
    .option('--parent', 'stop when stdin is closed')
    .option('--quiet', 'print errors only')
    .option('--trace <file>', "write this island's timeline to this file, for ui.perfetto.dev")
    .option('--config <file>', 'YAML file of these options; the environment (HELIOTROPE_NAME …) overrides it')
    .option(
      '--uplink <address>',
      'local address to connect from; may be repeated: when one fails, the next is used',
      collect,
    )
    .action(async (link: string | undefined, options: JoinOptions) => finish(await join(link, options, context())));
  command(
    'invite <run>',
    'make a link with which islands can join a run that is served here',
    '  heliotrope invite my-run --expires 24h --uses 5',
  )
    .addOption(new Option('--role <role>', 'what may join with it').choices(['island']).default('island'))
    .option('--expires <time>', 'how long it is valid: 30m, 24h, 7d; default: 24h', duration)
    .option('--uses <n>', 'how many islands may join with it', whole(1, 1_000_000), 1)
    .option('--list', 'list all invitations, and how many islands joined with each')
    .option('--revoke <id>', 'revoke an invitation')
    .option('--and-islands', 'with --revoke: also remove the islands that joined with it')
    .action(async (run: string, options: InviteOptions) => finish(await invite(run, options, context())));
  command(
    'receipts <run>',
    "show what was merged of each island, and check the host's signatures: of a run here, or of an island's receipts.jsonl",
    '  heliotrope receipts my-run --island attic\n  heliotrope receipts ./receipts.jsonl --host KEY',
  )
    .option('--island <name>', 'receipts of this island only')
    .option('--host <key>', 'public key of the host that must have signed them')
    .action(async (run: string, options: ReceiptsOptions) => finish(await receipts(run, options, context())));
  command(
    'provide [link]',
    'set this home up: a few questions, then what its sun would have trained, and today and tomorrow',
    "  heliotrope provide\n  heliotrope provide --roof 8kW --battery 10kWh --quiet 22:00-06:00\n  heliotrope provide --home-assistant http://homeassistant.local:8123 --token-file token.txt\n  heliotrope provide 'https://…' --install    # as a service that starts with this machine",
  )
    .option('--name <name>', "the island's name; default: home")
    .option('--lat <degrees>', 'latitude, north is +; default: from the time zone')
    .option('--lon <degrees>', 'longitude, east is +')
    .option('--time-zone <zone>', "like Europe/Berlin; default: this machine's")
    .option('--roof <power>', 'power of the panels: 8kW; none')
    .option('--tilt <degrees>', 'how steep they are; default: 30')
    .option('--facing <direction>', 'where they look: south, east and west, 200')
    .option('--battery <energy>', '10kWh; none')
    .option('--reserve <percent>', "of the battery, always the home's; default: 20")
    .option('--quiet <hours>', 'when it never trains: 22:00-06:00; none')
    .option('--power <power>', 'what this machine draws when it works hard: 300W')
    .option('--mode <mode>', 'off, sun-only, sun-battery, always; alone it changes a home that is set up')
    .option('--idle-only', 'train only while nobody uses this machine')
    .option('--meter <template,key=value>', 'a device that measures the home; may be repeated', collect)
    .option('--home-assistant <address>', 'reads grid, panels and battery from its Energy dashboard')
    .option('--evcc <address>', 'evcc measures the home, and its cars come first: evcc.local')
    .option('--token-file <file>', "file with Home Assistant's access token")
    .option('--yes', 'ask nothing: take the usual answers')
    .option('--force', 'begin anew; the old site.yaml is kept as site.yaml.1')
    .option('--install', 'install the island as a service of this account')
    .option('--uninstall', 'stop it, and delete everything that provide wrote')
    .option('--keep-key', "with --uninstall: keep the island's key and its checkpoints")
    .action(async (link: string | undefined, options: ProvideOptions) =>
      finish(await provide(link, options, context())),
    );
  for (const [kind, what] of [
    ['pause', 'stop training on this machine'],
    ['resume', 'take back a pause; with a time: train until then, whatever the sun does'],
    ['drain', 'hand in what is trained, then stop training on this machine'],
  ] as const)
    command(kind, what, `  heliotrope ${kind}\n  heliotrope ${kind} --for 2h\n  heliotrope ${kind} --until 18:00`)
      .option('--for <time>', 'for so long: 30m, 2h, 7d', duration)
      .option('--until <time>', 'until then: 18:00, today or tomorrow')
      .action((options: OwnerOptions) => finish(owner(kind, options, context())));
  command(
    'status [run]',
    'show the state of a run and of its islands; without one, where this home stands',
    '  heliotrope status my-run\n  heliotrope status             # in a home',
  ).action(async (run: string | undefined) => finish(await status(run, context())));
  command(
    'admit <run> <island>',
    'let in an island that asks to join a run served here',
    '  heliotrope admit my-run attic\n  heliotrope admit my-run stranger --refuse',
  )
    .option('--refuse', 'decline it')
    .option('--key <key>', 'beginning of its key, where several islands ask under one name')
    .action(async (run: string, island: string, options: { refuse?: boolean; key?: string }) =>
      finish(await admit(run, island, options, context())),
    );
  command(
    'sample <run>',
    'let a trained model continue a prompt',
    '  heliotrope sample quickstart --prompt "It is a truth"\n  heliotrope sample latest --temperature 0\n  heliotrope sample latest --top-k 40 --top-p 0.95',
  )
    .option('--prompt <text>', 'text to continue; default: sample.prompt of the run')
    .option('--tokens <n>', 'tokens to add', whole(1, 100_000), 100)
    .option('--temperature <t>', '0 always takes the likeliest token', number(0, 10), 0.8)
    .option('--top-k <n>', 'draw from the n likeliest tokens only', whole(1, 1_000_000))
    .option('--top-p <p>', 'draw from the fewest tokens whose probabilities reach p', number(0, 1))
    .option('--seed <n>', 'seed of the draws', whole(0, 2 ** 32 - 1), 1)
    .action(async (run: string, options: SampleCommandOptions) => finish(await sample(run, options, context())));
  command(
    'export <run>',
    'write a trained model in the format of another program',
    '  heliotrope export quickstart --format gguf --type q8_0\n  heliotrope export quickstart --format onnx --out model.onnx\n  heliotrope export my-adapter --format peft --out ./adapter',
  )
    .addOption(new Option('--format <name>', 'format to write').choices(EXPORT_FORMATS).makeOptionMandatory())
    .addOption(new Option('--type <name>', 'number format in a GGUF file').choices(GGUF_TYPES).default('f16'))
    .option('--out <path>', 'file or folder to write; default: beside the model')
    .action(async (run: string, options: ExportOptions) => finish(await exportModel(run, options, context())));
  command(
    'eval <run>',
    'measure a trained model on its held-out data, or on other text',
    '  heliotrope eval quickstart\n  heliotrope eval quickstart --data other.txt',
  )
    .option('--data <path>', 'text to measure on, instead of what the run held out; may be repeated', collect)
    .option('--tokens <n>', 'measure on at most this many tokens', whole(1, 1e9))
    .action(async (run: string, options: { data?: readonly string[]; tokens?: number }) =>
      finish(await evaluate(run, options, context())),
    );
  const inFolder = command(
    'runs',
    'list the runs in the runs folder; export or import one',
    '  heliotrope runs --json\n  heliotrope runs export my-run\n  heliotrope runs import my-run.heliotrope.tar.gz',
  ).action(async () => finish(await runs(context())));
  inFolder
    .command('export <run>')
    .description('write a run into one file, to continue it elsewhere')
    .option('--out <file>', 'file to write; default: NAME.heliotrope.tar.gz')
    .option('--with-keys', "include the host's secret keys, so that invitations stay valid; keep the file secret")
    .action(async (run: string, options: ArchiveOptions) => finish(await exportRun(run, options, context())));
  inFolder
    .command('import <file>')
    .description('make a run from an exported file')
    .option('--with-keys', "take over the host's keys in the file; only for a run of your own")
    .action(async (file: string, options: ImportOptions) => finish(await importRun(file, options, context())));
  const meters = command(
    'meters',
    'list the meters of homes and machines that there are templates for; try one',
    '  heliotrope meters list\n  heliotrope meters check machine\n  heliotrope meters check shelly-pro-3em --host 192.168.1.20\n  heliotrope meters check home-assistant --set token=@token.txt --at 48.0,7.85\n  heliotrope meters check ./my-inverter.yaml --host 192.168.1.30 --set unit=3',
  );
  meters
    .command('list')
    .description('list the meter templates')
    .action(() => finish(listMeters(context())));
  meters
    .command('check <template>')
    .description('read a meter once and show each value, its unit and its quality; `machine` is this machine itself')
    .option('--host <address>', 'address of the device')
    .option('--port <n>', 'its port', whole(1, 65_535))
    .option(
      '--set <key=value>',
      'another setting of the template; @FILE reads it from a file; may be repeated',
      collect,
    )
    .option('--at <latitude,longitude>', 'where the home is, to check the values against the sun', coordinates)
    .option('--peak <watts>', 'peak power of all panels, to check their meter', number(1, 1e9))
    .action(async (template: string, options: CheckOptions) => finish(await checkMeter(template, options, context())));
  command('doctor', 'show what this machine has for training, and what is missing', '  heliotrope doctor')
    .option('--site <file>', "site file to look at; default: this home's")
    .action(async (options: { readonly site?: string }) => finish(await doctor(options, context())));
  command(
    'completion <shell>',
    'print a completion script for bash, zsh, fish or powershell',
    '  heliotrope completion bash >> ~/.bashrc',
  ).action((shell: string) => finish(completion(shell, program)));
  return program;
}
