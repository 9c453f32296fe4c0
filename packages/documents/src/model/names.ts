/** Words of a text, for names that programs use: letters and digits of ASCII. */
const wordsOf = (text: string): string[] => text.normalize('NFKD').match(/[A-Za-z0-9]+/g) ?? []

/** `A light` becomes `ALight`. */
export const pascalCase = (text: string): string =>
  wordsOf(text)
    .map(word => word[0]!.toUpperCase() + word.slice(1))
    .join('')

/** Gives names out, each once: a second `Light` is `Light2`. */
export class UniqueNames {
  readonly #taken = new Map<string, number>()

  take(wanted: string): string {
    const base = wanted === '' ? 'Unnamed' : wanted
    const count = this.#taken.get(base)
    if (count === undefined) {
      this.#taken.set(base, 1)
      return base
    }
    for (let next = count + 1; ; next++) {
      const name = `${base}${next}`
      if (this.#taken.has(name)) continue
      this.#taken.set(base, next)
      this.#taken.set(name, 1)
      return name
    }
  }
}
