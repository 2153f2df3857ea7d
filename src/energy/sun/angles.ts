const RADIAN = Math.PI / 180;

export const sinDeg = (deg: number): number => Math.sin(deg * RADIAN);
export const cosDeg = (deg: number): number => Math.cos(deg * RADIAN);
export const tanDeg = (deg: number): number => Math.tan(deg * RADIAN);
export const atan2Deg = (y: number, x: number): number => Math.atan2(y, x) / RADIAN;

/** The same angle in [0, 360). */
export const turned = (deg: number): number => ((deg % 360) + 360) % 360;
