import { homedir } from 'node:os';
import path from 'node:path';

/** A home's island as a service of its owner's account: systemd, launchd or Windows' task scheduler. Pure: what to write, and what to run. */

export interface ServiceInput {
  readonly platform: NodeJS.Platform;
  /** The program and its first arguments: Node and the entry file. */
  readonly program: readonly string[];
  readonly name: string;
  readonly siteFile: string;
  /** Where the site keeps its files. */
  readonly folder: string;
  /** A secret: it stands in a file that only the owner reads, and on no command line. */
  readonly link: string;
  readonly home?: string;
}

export interface ServiceFile {
  readonly file: string;
  readonly content: string;
  /** Of the file: 0o600 where it holds the link. */
  readonly mode: number;
}

export interface Service {
  readonly files: readonly ServiceFile[];
  /** Each a program and its arguments. */
  readonly install: readonly (readonly string[])[];
  readonly uninstall: readonly (readonly string[])[];
  /** How its owner sees what it says. */
  readonly logs: string;
}

const NAME = 'heliotrope-home';
const LABEL = 'org.heliotrope.home';

/** @returns undefined on a system for which there is none */
export function serviceFor(input: ServiceInput): Service | undefined {
  switch (input.platform) {
    case 'linux':
      return systemd(input);
    case 'darwin':
      return launchd(input);
    case 'win32':
      return windows(input);
    default:
      return undefined;
  }
}

const joinOf = ({ name, siteFile }: ServiceInput): readonly string[] => ['join', '--name', name, '--site', siteFile];

function systemd(input: ServiceInput): Service {
  const { program, folder, link, home = homedir() } = input;
  // systemd expands % and $ in ExecStart.
  const quoted = [...program, ...joinOf(input)].map(
    (word) => `"${word.replace(/["\\]/g, '\\$&').replaceAll('%', '%%').replaceAll('$', '$$$$')}"`,
  );
  const environment = path.posix.join(folder, 'service.env');
  const unit = `[Unit]
Description=Heliotrope: this machine trains when its home has power to spare
Documentation=https://github.com/heliotrope/heliotrope/blob/main/docs/guides/provider.md
After=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=${quoted.join(' ')}
EnvironmentFile=${environment.replaceAll('%', '%%')}
# It leaves the run cleanly, and ends with 130.
KillSignal=SIGTERM
KillMode=mixed
TimeoutStopSec=30
SuccessExitStatus=130
Restart=on-failure
RestartSec=30
# 2: a wrong option; 4: the coordinator will not have it.
RestartPreventExitStatus=2 4
Nice=10

[Install]
WantedBy=default.target
`;
  return {
    files: [
      { file: environment, content: `HELIOTROPE_INVITATION='${link}'\n`, mode: 0o600 },
      { file: path.posix.join(home, '.config/systemd/user', `${NAME}.service`), content: unit, mode: 0o644 },
    ],
    install: [
      ['systemctl', '--user', 'daemon-reload'],
      ['systemctl', '--user', 'enable', '--now', `${NAME}.service`],
    ],
    uninstall: [
      ['systemctl', '--user', 'disable', '--now', `${NAME}.service`],
      ['systemctl', '--user', 'daemon-reload'],
    ],
    logs: `journalctl --user -u ${NAME} -f`,
  };
}

const xml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

function launchd(input: ServiceInput): Service {
  const { program, folder, link, home = homedir() } = input;
  const file = path.posix.join(home, 'Library/LaunchAgents', `${LABEL}.plist`);
  const log = path.posix.join(folder, 'service.log');
  const words = [...program, ...joinOf(input)].map((word) => `    <string>${xml(word)}</string>`);
  const content = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${LABEL}</string>
  <key>ProgramArguments</key>
  <array>
${words.join('\n')}
  </array>
  <key>EnvironmentVariables</key>
  <dict>
    <key>HELIOTROPE_INVITATION</key>
    <string>${xml(link)}</string>
  </dict>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ThrottleInterval</key>
  <integer>30</integer>
  <key>ProcessType</key>
  <string>Background</string>
  <key>StandardErrorPath</key>
  <string>${xml(log)}</string>
</dict>
</plist>
`;
  return {
    files: [{ file, content, mode: 0o600 }],
    install: [['launchctl', 'load', '-w', file]],
    uninstall: [['launchctl', 'unload', '-w', file]],
    logs: `tail -f ${log}`,
  };
}

function windows(input: ServiceInput): Service {
  const { program, folder, link } = input;
  const script = path.win32.join(folder, 'service.cmd');
  const task = path.win32.join(folder, 'service.xml');
  // In a batch file % begins a variable.
  const word = (text: string): string => `"${text.replaceAll('"', '').replaceAll('%', '%%')}"`;
  const command = `@echo off\r\nset "HELIOTROPE_INVITATION=${link.replaceAll('%', '%%')}"\r\n${[...program, ...joinOf(input)].map(word).join(' ')} 2>> ${word(path.win32.join(folder, 'service.log'))}\r\n`;
  const content = `<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Description>Heliotrope: this machine trains when its home has power to spare</Description></RegistrationInfo>
  <Triggers><LogonTrigger><Enabled>true</Enabled></LogonTrigger></Triggers>
  <Principals><Principal id="Author"><LogonType>InteractiveToken</LogonType><RunLevel>LeastPrivilege</RunLevel></Principal></Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>7</Priority>
    <RestartOnFailure><Interval>PT1M</Interval><Count>999</Count></RestartOnFailure>
  </Settings>
  <Actions Context="Author"><Exec><Command>${xml(script)}</Command></Exec></Actions>
</Task>
`;
  return {
    files: [
      { file: script, content: command, mode: 0o600 },
      // Task Scheduler reads UTF-16 with its mark.
      { file: task, content: `\ufeff${content}`, mode: 0o600 },
    ],
    install: [
      ['schtasks', '/Create', '/F', '/TN', NAME, '/XML', task],
      ['schtasks', '/Run', '/TN', NAME],
    ],
    uninstall: [
      ['schtasks', '/End', '/TN', NAME],
      ['schtasks', '/Delete', '/F', '/TN', NAME],
    ],
    logs: `type ${path.win32.join(folder, 'service.log')}`,
  };
}
