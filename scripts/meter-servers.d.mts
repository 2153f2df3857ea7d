export function findMosquitto(): string | undefined;
export function findNut(): { readonly upsd: string; readonly driver: string } | undefined;
