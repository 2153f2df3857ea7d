import type { Answers } from './questions.ts';

/** `site.yaml` as a person would have written it: each part with a word about it. */
export function siteText(
  {
    name,
    latitudeDeg,
    longitudeDeg,
    timeZone,
    roofW,
    tiltDeg,
    facingDeg,
    batteryWh,
    reservePercent,
    quiet,
    trainW,
    mode,
    idleOnly,
  }: Answers,
  meters: readonly Readonly<Record<string, unknown>>[] = [],
  evcc?: { readonly host: string; readonly port: number },
): string {
  const lines = [
    '# Written by `heliotrope provide`. Every key: docs/energy-policy.md and schema/site.schema.json.',
    `name: ${name}`,
    `location: { latitudeDeg: ${latitudeDeg}, longitudeDeg: ${longitudeDeg}, timeZone: ${timeZone} }`,
  ];
  if (roofW > 0) {
    lines.push('', '# Panels: peakW in W; azimuthDeg clockwise from north, 180 is south.', 'solar:', '  arrays:');
    for (const azimuthDeg of facingDeg)
      lines.push(
        `    - { peakW: ${Math.round(roofW / facingDeg.length)}, tiltDeg: ${tiltDeg}, azimuthDeg: ${azimuthDeg} }`,
      );
  }
  if (batteryWh > 0)
    lines.push(
      '',
      '# reservePercent is yours: training never touches it.',
      `battery: { capacityWh: ${batteryWh}, chargeW: ${Math.round(batteryWh / 2)}, dischargeW: ${Math.round(batteryWh / 2)}, reservePercent: ${reservePercent} }`,
    );
  if (evcc !== undefined)
    lines.push(
      '',
      '# evcc measures the home. Cars that charge with the sun come before training.',
      `evcc: { host: ${JSON.stringify(evcc.host)}, port: ${evcc.port}, vehiclesFirst: true, cheapHours: false }`,
    );
  lines.push(
    '',
    '# What this machine draws.',
    `machine: { idleW: ${Math.min(40, Math.round(0.2 * trainW))}, trainW: ${trainW} }`,
    '',
    evcc === undefined
      ? '# Devices that measure the home: heliotrope meters list. Without one, sun and household are estimated.'
      : '# Other devices that measure the home: heliotrope meters list.',
    meters.length === 0 ? 'meters: []' : 'meters:',
    ...meters.map((meter) => `  - ${JSON.stringify(meter)}`),
    '',
    '# off, sun, sun-and-battery or always.',
    'policy:',
    `  mode: ${mode}`,
    `  idleOnly: ${idleOnly}`,
  );
  if (batteryWh > 0) {
    const stop = Math.min(90, Math.max(30, reservePercent + 10));
    lines.push(`  batteryStartPercent: ${Math.max(60, Math.min(95, stop + 20))}`, `  batteryStopPercent: ${stop}`);
  }
  if (quiet.length > 0)
    lines.push('  quietHours:', ...quiet.map(({ from, to }) => `    - { from: '${from}', to: '${to}' }`));
  return `${lines.join('\n')}\n`;
}
