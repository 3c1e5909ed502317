// What users type into forms, as the API wants it.

/** A text that is not valid, with a sentence that says why. */
export class InvalidInput extends Error {}

/** Splits a command into words, as a shell does: with quotes and backslashes, and nothing else. */
export function commandWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  for (let index = 0; index < text.length; index++) {
    const character = text.charAt(index);
    const next = text.charAt(index + 1);
    if (quote === undefined && /\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (character === quote) quote = undefined;
    else if (quote === undefined && (character === '"' || character === "'")) {
      quote = character;
      word ??= '';
    } else if (character === '\\' && quote !== "'" && (quote === undefined || '"\\$`'.includes(next))) {
      word = (word ?? '') + next;
      index++;
    } else word = (word ?? '') + character;
  }
  if (quote !== undefined) throw new InvalidInput(`The quote ${quote} is not closed.`);
  if (word !== undefined) words.push(word);
  return words;
}

/** Reads lines of `NAME=VALUE`. */
export function pairs(text: string): Record<string, string> {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return Object.fromEntries(
    lines.map((line) => {
      const equals = line.indexOf('=');
      if (equals < 1) throw new InvalidInput(`“${line.trim()}” must be NAME=VALUE.`);
      return [line.slice(0, equals).trim(), line.slice(equals + 1)];
    }),
  );
}

type Binding = { host_port?: number };

/** Reads ports such as `8080:80, 53/udp`: each with a free port of the host, or with the one before the colon. */
export function ports(text: string): Record<string, Binding[]> {
  const all: Record<string, Binding[]> = {};
  for (const part of text.split(/[\s,]+/).filter((part) => part !== '')) {
    const match = /^(?:(\d+):)?(\d+)(?:\/(tcp|udp))?$/.exec(part);
    const [outer, inner] = [match?.[1], match?.[2]];
    const isPort = (digits: string) => Number(digits) >= 1 && Number(digits) <= 65535;
    if (inner === undefined || !isPort(inner) || (outer !== undefined && !isPort(outer))) {
      throw new InvalidInput(`“${part}” must be a port such as 80, 8080:80 or 53/udp.`);
    }
    const key = `${inner}/${match?.[3] ?? 'tcp'}`;
    (all[key] ??= []).push(outer === undefined ? {} : { host_port: Number(outer) });
  }
  return all;
}
