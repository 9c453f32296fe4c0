/** How long a session is kept, and for whom. */
export interface SessionPlace {
  /** Milliseconds since 1970. */
  readonly expires: number
  /** Milliseconds until then. */
  readonly ttl: number
  /** Id of the user that has logged in; undefined for an anonymous session. */
  readonly owner: string | undefined
}

/**
 * Keeps sessions: any place for texts by key that forgets them in time. Keys are hashes of the ids in the cookies, so what it holds opens no session.
 * An error, thrown or rejected, is answered with 503.
 */
export interface SessionStore {
  get(key: string): string | undefined | null | Promise<string | undefined | null>
  set(key: string, value: string, place: SessionPlace): unknown
  delete(key: string): unknown
}
