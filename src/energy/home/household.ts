/** A household's day, mean 1: low at night, a little more in the morning, most in the evening (the shape of CityLearn's homes). */
const BY_HOUR = [
  0.62, 0.55, 0.52, 0.5, 0.52, 0.6, 0.8, 1.0, 1.02, 0.95, 0.92, 0.95, 1.0, 0.98, 0.95, 1.0, 1.12, 1.35, 1.6, 1.68, 1.55,
  1.35, 1.1, 0.87,
];
const MEAN = BY_HOUR.reduce((sum, share) => sum + share, 0) / 24;

/**
 * What a household draws at a time of the day, over its mean.
 *
 * @param hour by the clock on its wall, 0 to 24: 18.5 is half past six in the evening
 */
export function householdShare(hour: number): number {
  const whole = Math.floor(hour) % 24;
  const part = hour - Math.floor(hour);
  return ((1 - part) * BY_HOUR[whole]! + part * BY_HOUR[(whole + 1) % 24]!) / MEAN;
}
