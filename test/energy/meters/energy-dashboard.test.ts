import { describe, expect, it } from 'vitest';
import { readDashboard } from '../../../src/energy/meters/energy-dashboard.ts';

/** Shapes of Home Assistant's own types, `homeassistant/components/energy/data.py`, as its versions had them. */
const found = (energySources: readonly unknown[]): Record<string, unknown> =>
  Object.fromEntries(
    readDashboard({ energy_sources: energySources, device_consumption: [] })!.values.map(({ quantity, from }) => [
      quantity,
      from,
    ]),
  );

describe('Energy settings of Home Assistant', () => {
  it('before 2026 the grid was lists of flows and of powers', () => {
    expect(
      found([
        {
          type: 'grid',
          flow_from: [{ stat_energy_from: 'sensor.low' }, { stat_energy_from: 'sensor.high' }],
          flow_to: [{ stat_energy_to: 'sensor.back' }],
          power: [{ stat_rate: 'sensor.phase_1' }, { power_config: { stat_rate_inverted: 'sensor.phase_2' } }],
          cost_adjustment_day: 0,
        },
      ]),
    ).toEqual({
      'grid-power': { sum: [{ entity: 'sensor.phase_1' }, { entity: 'sensor.phase_2', scale: -1 }] },
      'import-energy': { sum: [{ entity: 'sensor.low' }, { entity: 'sensor.high' }] },
      'export-energy': { entity: 'sensor.back' },
    });
  });

  it('the sensor that Home Assistant made of a turned one comes before it', () => {
    expect(
      found([
        {
          type: 'battery',
          stat_energy_from: 'sensor.a',
          stat_energy_to: 'sensor.b',
          stat_rate: 'sensor.made',
          power_config: { stat_rate_inverted: 'sensor.raw' },
        },
      ]),
    ).toEqual({ 'battery-power': { entity: 'sensor.made' } });
    expect(found([{ type: 'battery', power_config: { stat_rate_inverted: 'sensor.raw' } }])).toEqual({
      'battery-power': { entity: 'sensor.raw', scale: -1 },
    });
  });

  it('several plants are added, several charges are averaged', () => {
    expect(
      found([
        { type: 'solar', stat_energy_from: 'sensor.e', stat_rate: 'sensor.east' },
        { type: 'solar', stat_energy_from: 'other:w', stat_rate: 'sensor.west' },
        { type: 'battery', stat_rate: 'sensor.b1', stat_soc: 'sensor.s1' },
        { type: 'battery', stat_rate: 'sensor.b2', stat_soc: 'sensor.s2' },
      ]),
    ).toEqual({
      'pv-power': { sum: [{ entity: 'sensor.east' }, { entity: 'sensor.west' }] },
      'pv-energy': { entity: 'sensor.e' },
      'battery-power': { sum: [{ entity: 'sensor.b1' }, { entity: 'sensor.b2' }] },
      'battery-charge': {
        sum: [
          { entity: 'sensor.s1', scale: 0.5 },
          { entity: 'sensor.s2', scale: 0.5 },
        ],
      },
    });
  });

  it.each([
    undefined,
    null,
    'no',
    [],
    {},
    { energy_sources: 'x' },
    { energy_sources: [{ type: 5 }] },
    { energy_sources: [{ type: 'grid', stat_rate: 5 }] },
  ])('%j are none', (answer) => {
    expect(readDashboard(answer)).toBeUndefined();
  });

  it('what a later version adds is passed over', () => {
    expect(
      found([
        { type: 'hydrogen', stat_rate: 'sensor.h' },
        { type: 'solar', stat_rate: 'sensor.pv', new_key: { a: 1 } },
      ]),
    ).toEqual({
      'pv-power': { entity: 'sensor.pv' },
    });
  });
});
