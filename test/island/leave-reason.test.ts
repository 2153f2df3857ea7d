import { describe, expect, it } from 'vitest';
import { ERROR_CODES, type ErrorCode, HelioError } from '../../src/errors.ts';
import { leaveReason } from '../../src/island/leave-reason.ts';

describe('why an island leaves, as its coordinator is told', () => {
  const private_ = '/home/anna/diary.txt:7 says "dear diary"';

  it.each((Object.keys(ERROR_CODES) as ErrorCode[]).filter((code) => !code.startsWith('HELIO-4')))(
    '%s tells its kind, and nothing of files or what is in them',
    (code) => {
      const told = leaveReason(new HelioError(code, private_, `Mend ${private_}.`));
      expect(told).toContain(code);
      expect(told).not.toMatch(/anna|diary/);
    },
  );

  it('an error that nobody explained tells nothing but that', () => {
    expect(leaveReason(new TypeError(private_))).toBe('an unexpected error of its own; its log has the details');
    expect(leaveReason(private_)).not.toContain('anna');
  });

  it('what is wrong with the line is told whole', () => {
    expect(leaveReason(new HelioError('HELIO-4004', 'A frame is malformed.', 'Report this.'))).toContain('malformed');
  });
});
