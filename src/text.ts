// Controls (C0, C1, DEL), line and paragraph separators, and what turns the direction of text.
const INVISIBLE =
  // eslint-disable-next-line no-control-regex
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/**
 * Text from outside, made safe to show in one line.
 *
 * Markup is no danger where text is rendered as text. What is left are characters that cannot
 * be seen but change what is seen around them; each becomes U+FFFD, so that two names which
 * differ do not look alike.
 */
export function plain(text: string): string {
  return text.replace(INVISIBLE, '\ufffd');
}
