/** Sixteen grid zones by what their year 2024 was like: statistics of hourly lifecycle intensity, none of its hours. */
export interface Zone {
  readonly name: string;
  /** A large city of it. */
  readonly latitudeDeg: number;
  readonly longitudeDeg: number;
  readonly timeZone: string;
  /** Of the year's hours, gCO2e/kWh, life cycle. */
  readonly meanG: number;
  readonly leastG: number;
  readonly mostG: number;
  /** Mean over the days of the day's most less its least. */
  readonly dailySwingG: number;
  /** Waves of 24, 12 and 8 hours of the mean day: height, and the hour UTC of their first top. */
  readonly day: readonly (readonly [heightG: number, topHour: number])[];
  /** The same of the year, with its day of the top. */
  readonly year: readonly [heightG: number, topDay: number];
  /** What is left then, and how much of it an hour hands to the next. */
  readonly noiseG: number;
  readonly memory: number;
}

type Row = readonly [
  latitudeDeg: number,
  longitudeDeg: number,
  timeZone: string,
  range: readonly [meanG: number, leastG: number, mostG: number, dailySwingG: number],
  waves: readonly [number, number, number, number, number, number],
  year: readonly [number, number],
  noise: readonly [noiseG: number, memory: number],
];

// Computed from hourly figures of Electricity Maps, 2024 (UTC).
const ROWS: readonly (readonly [name: string, row: Row])[] = [
  [
    'AU-NSW',
    [-33.9, 151.2, 'Australia/Sydney', [552, 171, 808, 374], [174, 14.5, 56, 7.9, 6, 3.4], [56, 138], [65, 0.907]],
  ],
  [
    'AU-VIC',
    [-37.8, 145.0, 'Australia/Melbourne', [503, 205, 774, 260], [101, 15.5, 25, 8, 0, 0.1], [61, 124], [77, 0.942]],
  ],
  ['BR-SP', [-23.6, -46.6, 'America/Sao_Paulo', [103, 44, 213, 25], [6, 6.4, 3, 7.7, 1, 7.1], [45, 247], [15, 0.974]]],
  ['CA-ON', [43.7, -79.4, 'America/Toronto', [88, 10, 166, 68], [20, 20.3, 10, 1.1, 2, 2.6], [5, 230], [32, 0.977]]],
  [
    'CL-SIC',
    [-33.4, -70.7, 'America/Santiago', [238, 74, 506, 192], [96, 5, 24, 10.3, 15, 0.8], [73, 120], [43, 0.927]],
  ],
  ['DE-LU', [50.1, 8.7, 'Europe/Berlin', [332, 107, 654, 183], [54, 22.7, 28, 5.9, 1, 0], [57, 339], [105, 0.987]]],
  ['GB', [51.5, -0.1, 'Europe/London', [163, 36, 384, 112], [16, 19.6, 24, 7.3, 1, 2], [31, 349], [65, 0.983]]],
  ['IN-WE', [19.1, 72.9, 'Asia/Kolkata', [738, 641, 787, 32], [12, 22.9, 5, 3.3, 3, 5.4], [26, 46], [15, 0.979]]],
  ['JP-TK', [35.7, 139.7, 'Asia/Tokyo', [544, 200, 604, 189], [82, 14.7, 43, 8.8, 10, 6.9], [7, 298], [33, 0.933]]],
  ['KR', [37.6, 127.0, 'Asia/Seoul', [418, 249, 505, 58], [18, 14.6, 12, 10, 3, 7.4], [6, 309], [41, 0.992]]],
  ['SG', [1.35, 103.8, 'Asia/Singapore', [485, 438, 499, 37], [15, 17, 7, 10.8, 1, 0.4], [1, 333], [6, 0.778]]],
  [
    'US-CAL-CISO',
    [37.8, -122.4, 'America/Los_Angeles', [226, 51, 423, 174], [88, 8, 23, 1.6, 9, 4.1], [56, 326], [47, 0.946]],
  ],
  [
    'US-MIDA-PJM',
    [40.0, -75.2, 'America/New_York', [392, 266, 522, 51], [11, 0.9, 8, 1.1, 2, 2.2], [16, 196], [39, 0.991]],
  ],
  ['US-NY-NYIS', [40.7, -74.0, 'America/New_York', [293, 182, 393, 44], [9, 21, 7, 1, 1, 3.5], [29, 235], [26, 0.976]]],
  [
    'US-TEX-ERCO',
    [29.8, -95.4, 'America/Chicago', [367, 136, 580, 182], [38, 4.6, 32, 0.6, 11, 2.4], [47, 257], [77, 0.965]],
  ],
  ['ZA', [-26.2, 28.0, 'Africa/Johannesburg', [713, 606, 801, 73], [28, 23.6, 6, 4.4, 3, 3.7], [16, 190], [22, 0.957]]],
];

export const ZONES: readonly Zone[] = ROWS.map(([name, row]) => {
  const [latitudeDeg, longitudeDeg, timeZone, [meanG, leastG, mostG, dailySwingG], waves, year, [noiseG, memory]] = row;
  const day = [0, 2, 4].map((i) => [waves[i]!, waves[i + 1]!] as const);
  return { name, latitudeDeg, longitudeDeg, timeZone, meanG, leastG, mostG, dailySwingG, day, year, noiseG, memory };
});

/** Other names of the same; one that is not known has no zone, never a neighbour's. */
const ALSO: ReadonlyMap<string, string> = new Map([
  ['DE', 'DE-LU'],
  ['CAISO', 'US-CAL-CISO'],
  ['ERCOT', 'US-TEX-ERCO'],
  ['PJM', 'US-MIDA-PJM'],
  ['NYISO', 'US-NY-NYIS'],
]);

export const zoneOf = (name: string): Zone | undefined => {
  const upper = name.toUpperCase();
  return ZONES.find((zone) => zone.name === (ALSO.get(upper) ?? upper));
};
