import { plain } from '../text';

describe('plain', () => {
  it.each([
    'local',
    'Analyse für Zoë',
    '分析',
    'a <b> & "c"',
    '👩‍🔬'.slice(0, 2)
  ])('leaves %j alone', text => {
    expect(plain(text)).toBe(text);
  });

  it.each([
    ['a right-to-left override', 'exe\u202Egpj.local'],
    ['an isolate', 'a\u2066b\u2069'],
    ['a zero-width space', 'lo\u200Bcal'],
    ['a byte order mark', '\uFEFFlocal'],
    ['a line break', 'a\nb'],
    ['an escape', '\u001b[2J'],
    ['a C1 control', 'a\u009bb']
  ])('shows %s as U+FFFD', (_, text) => {
    expect(plain(text)).toContain('\uFFFD');
    // eslint-disable-next-line no-control-regex
    expect(plain(text)).not.toMatch(/[\u0000-\u001f\u009b\u200b-\u206f\ufeff]/);
  });
});
