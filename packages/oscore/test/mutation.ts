import { seededRandom } from '@iopa/testing'

/** Mutations of each kind; IOPA_MUTATIONS=100000 is a long run. */
export const COUNT: number = Number(process.env['IOPA_MUTATIONS'] ?? 200)
export const TIMEOUT: { readonly timeout: number } = { timeout: 20_000 + COUNT * 20 }

export const random: () => number = seededRandom(20_261_130)
export const below = (most: number): number => Math.floor(random() * most)

/** Flips, cuts, extends, swaps or fills a part of the bytes. */
export const mutated = (bytes: Uint8Array): Uint8Array => {
  const copy = new Uint8Array(bytes)
  const at = below(copy.length + 1)
  switch (below(6)) {
    case 0:
      if (copy.length > 0) copy[at % copy.length]! ^= 1 << below(8)
      return copy
    case 1:
      if (copy.length > 0) copy[at % copy.length] = below(256)
      return copy
    case 2:
      return copy.subarray(0, at)
    case 3:
      return Uint8Array.from([...copy, ...Array.from({ length: below(20) }, () => below(256))])
    case 4:
      return Uint8Array.from([...copy.subarray(at), ...copy.subarray(0, at)])
    default:
      return copy.fill(below(256), at, at + below(9))
  }
}

/** One of these. */
export const pick = <T>(values: readonly T[]): T => values[below(values.length)] as T

/** How often each outcome was reached, by the kind of what was mutated. */
export class Outcomes {
  readonly #byKind = new Map<string, Map<string, number>>()

  count(kind: string, outcome: string): void {
    const outcomes = this.#byKind.get(kind) ?? new Map<string, number>()
    this.#byKind.set(kind, outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1))
  }

  /** The outcomes of a kind, in alphabetical order. */
  of(kind: string): string[] {
    return [...(this.#byKind.get(kind)?.keys() ?? [])].sort()
  }

  /** A long run says what it has reached. */
  print(): void {
    if (COUNT < 10_000) return
    for (const [kind, outcomes] of this.#byKind) console.log(kind, Object.fromEntries([...outcomes].sort()))
  }
}
