import type { OpenOptions, RequestProtection } from '@iopa/transport'
import type { Requester } from '../exchanges/requester.ts'
import { Tokens } from '../exchanges/tokens.ts'
import type { CoapSettings } from '../options.ts'

/** What a link is opened with. */
export interface LinkInit {
  readonly url: URL
  readonly options: OpenOptions
  readonly settings: CoapSettings
  readonly protection: LinkProtection | undefined
}

/** How the requests of a link are protected. */
export interface LinkProtection {
  /** Those of the security association, which may last longer than the link. */
  readonly tokens: Tokens
  /** The requester that protects what another one sends. */
  over(requester: Requester): Requester
  /** Called when the link has ended. */
  release(): Promise<void>
}

const TOKENS = new WeakMap<RequestProtection, Tokens>()

/** The tokens of an association: every link that uses it takes them from here. */
export const tokensOf = (protection: RequestProtection): Tokens => {
  let tokens = TOKENS.get(protection)
  if (tokens === undefined) TOKENS.set(protection, (tokens = new Tokens()))
  return tokens
}
