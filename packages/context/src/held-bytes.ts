import type { User } from '@iopa/constants'

/** What a body in memory is counted for: a context. */
export interface BodyHolder {
  readonly environment: { readonly bodies?: HeldBytes | undefined }
  readonly endpoint: { readonly holdsBack?: boolean }
  readonly 'server.User': User | undefined
  readonly 'server.RemoteAddress': string
  defer(dispose: () => unknown): void
}

/** The bodies that the requests of an app hold in memory. */
export interface HeldBytes {
  /**
   * Counts `bytes` for `holder`, in place of less that counted before for the same `body`, until it ends; `body` is its request's unless given.
   * @throws IopaError 503 when there is no room
   */
  hold(holder: BodyHolder, bytes: number, body?: object): void
  /** Counts bytes of `owner` that are in memory already, until they are given back. */
  take(owner: string, bytes: number): void
  give(owner: string, bytes: number): void
  /** True while more than half of the budget is used: `hasRoom` may then say no. */
  readonly tight: boolean
  /** True where so many bytes more of `owner` fit. */
  hasRoom(owner: string, bytes: number): boolean
  /** Calls `freed` once, when bytes have been given back. */
  whenFreed(freed: () => void): void
  /** The owner of the bodies of a request: a user, or an address. */
  ownerOf(holder: Pick<BodyHolder, 'server.User' | 'server.RemoteAddress'>): string
}
