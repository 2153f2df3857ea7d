/** Path of an installed Chromium or Chrome; HELIOTROPE_CHROMIUM names another. */
export function findChromium(): string | undefined;
