import type { User } from '@iopa/transport'
import type { ContextSource } from './context-source.ts'

const keyOf = (kid: Uint8Array): string => Buffer.from(kid).toString('latin1')

/** The sources of contexts by the id of their peer; several may have the same one (RFC 8613 section 3.3). */
export class ContextTable {
  readonly #sources = new Map<string, ContextSource[]>()

  constructor(sources: readonly ContextSource[]) {
    for (const source of sources) {
      const key = keyOf(source.recipientId)
      this.#sources.set(key, [...(this.#sources.get(key) ?? []), source])
    }
  }

  find(kid: Uint8Array): readonly ContextSource[] {
    return this.#sources.get(keyOf(kid)) ?? []
  }

  /** Ends the sources of these users, and forgets them. */
  end(matches: (user: User) => boolean): void {
    for (const [key, sources] of this.#sources) {
      for (const source of sources) if (matches(source.user)) source.end()
      const rest = sources.filter(({ user }) => !matches(user))
      if (rest.length === 0) this.#sources.delete(key)
      else this.#sources.set(key, rest)
    }
  }
}
