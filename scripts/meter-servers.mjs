/**
 * Servers for the tests of meters: finds mosquitto (MQTT) and upsd with its dummy driver (Network UPS Tools), and installs Debian's where they are
 * missing and that is allowed.
 *
 * Usage: node scripts/meter-servers.mjs     exit status 0 when both are here, 1 when one is missing and could not be installed
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { installPackage } from './debian.mjs';

const folders = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/sbin', '/sbin', '/usr/local/sbin'];
const drivers = ['/lib/nut', '/usr/lib/nut', '/usr/local/ups/bin'];
const program = (name, where) => where.map((folder) => path.join(folder, name)).find((file) => existsSync(file));

export const findMosquitto = () => program('mosquitto', folders);

/** `upsd`, and the driver that plays a UPS from a file. */
export function findNut() {
  // Debian's /usr/sbin/upsd is a script that starts nothing until /etc/nut says so; the program itself is beside its drivers.
  const upsd = program('upsd', [...drivers, ...folders]);
  const driver = program('dummy-ups', drivers);
  return upsd === undefined || driver === undefined ? undefined : { upsd, driver };
}

if (import.meta.main ?? process.argv[1] === import.meta.filename) {
  if (findMosquitto() === undefined) installPackage('mosquitto', 'the tests of meters');
  if (findNut() === undefined) installPackage('nut-server', 'the tests of meters');
  const mosquitto = findMosquitto();
  const nut = findNut();
  process.stdout.write(
    `${mosquitto === undefined ? 'No mosquitto: tests of MQTT meters are skipped.' : `mosquitto: ${mosquitto}`}\n`,
  );
  process.stdout.write(`${nut === undefined ? 'No upsd: tests of NUT are skipped.' : `upsd: ${nut.upsd}`}\n`);
  process.exitCode = mosquitto === undefined || nut === undefined ? 1 : 0;
}
