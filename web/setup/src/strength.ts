// A hint while a password is typed. The box measures for itself, and its word counts.

export type Strength = { level: "empty" } | { level: "short"; missing: number } | { level: "weak" | "fair" | "good" };

export const MIN_MASTER_CHARACTERS = 14;

// Bits that a guesser would need, counted generously for words and meanly for everything that repeats.
const BITS_PER_WORD = 11;
const BITS_PER_CHARACTER = 4;
const FAIR_BITS = 40;
const GOOD_BITS = 52;

export function strengthOf(password: string): Strength {
  const characters = [...password];
  if (characters.length === 0) return { level: "empty" };
  if (characters.length < MIN_MASTER_CHARACTERS) {
    return { level: "short", missing: MIN_MASTER_CHARACTERS - characters.length };
  }
  const bits = Math.min(bitsByWords(password), bitsByCharacters(characters));
  return { level: bits >= GOOD_BITS ? "good" : bits >= FAIR_BITS ? "fair" : "weak" };
}

// Letters are guessed as words, whatever their case; other characters one by one, each kind once.
function bitsByWords(password: string): number {
  const words = new Set(password.toLowerCase().match(/\p{L}+/gu) ?? []);
  const others = new Set(password.match(/[^\p{L}\s]/gu) ?? []);
  let bits = others.size * BITS_PER_CHARACTER;
  for (const word of words) {
    // A long run of letters is several words without spaces between them.
    bits += word.length <= 2 ? word.length * BITS_PER_CHARACTER : Math.max(1, Math.round(word.length / 6)) * BITS_PER_WORD;
  }
  return bits;
}

// A character that repeats the one before it, or follows it in the alphabet, adds nothing.
function bitsByCharacters(characters: string[]): number {
  const surprising = characters.filter((character, at) => {
    const step = at === 0 ? 2 : (character.codePointAt(0) ?? 0) - (characters[at - 1]?.codePointAt(0) ?? 0);
    return Math.abs(step) > 1;
  });
  return new Set(surprising).size * BITS_PER_CHARACTER + (surprising.length - new Set(surprising).size);
}
