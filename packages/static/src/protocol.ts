import type { Context } from '@iopa/appbuilder'
import type { OwnedContext } from '@iopa/context/host'

/** What a protocol says of itself in its capability (docs/spec/keys.md), as far as it matters for files. */
export interface Protocol {
  /** Clients follow redirects, and read the links of a page against its path. */
  readonly redirects?: boolean
  /** Clients read directories as lists of links (RFC 6690). */
  readonly linkLists?: boolean
  /** A subscription survives a not-found answer. */
  readonly lastingSubscriptions?: boolean
}

const NONE: Protocol = {}

/** The protocol of a request: the capability that names its scheme. */
export const protocolOf = (context: Context): Protocol => {
  const scheme = context['iopa.Scheme']
  for (const capability of Object.values((context as OwnedContext).environment.capabilities)) {
    const { schemes } = capability as { schemes?: unknown }
    if (Array.isArray(schemes) && schemes.includes(scheme)) return capability
  }
  return NONE
}
