import type { Context } from '@iopa/appbuilder'

/** What a protocol says of itself in its capability (docs/spec/keys.md). */
interface Protocol {
  readonly schemes?: unknown
  /** A client stays connected without an observation, and a subscription survives a not-found answer. */
  readonly lastingSubscriptions?: boolean
}

/**
 * What of a request lasts and ends with its device: an observation, or over MQTT the connection. Connections of HTTP may be those of a proxy, and
 * are kept for the next request only. Null for a request that is over when it is answered.
 */
export const lastingConnectionOf = (context: Context): Context | null => {
  if (isLasting(context)) return context.connection
  return context['iopa.Observe'] === true ? context : null
}

const isLasting = (context: Context): boolean => {
  const scheme = context['iopa.Scheme']
  for (const capability of Object.values(context['server.Capabilities'])) {
    const { schemes, lastingSubscriptions } = capability as Protocol
    if (Array.isArray(schemes) && schemes.includes(scheme)) return lastingSubscriptions === true
  }
  return false
}
