import { type Context, IopaError } from '@iopa/appbuilder'

/**
 * Finds changes that a page of another origin asks for, as `CrossOriginProtection` of Go 1.25 does. Neither the content type nor a cookie matters, so
 * there is none to be left out or spelled otherwise.
 */
export class CrossSite {
  readonly #trusted: ReadonlySet<string>

  constructor(trusted: readonly string[]) {
    this.#trusted = new Set(trusted)
  }

  /** @throws IopaError 403 for a change that a page of another origin asks for. */
  check(context: Context): void {
    switch (context['iopa.Method']) {
      // Safe methods (RFC 9110 section 9.2.1): links lead to them.
      case 'GET':
      case 'HEAD':
      case 'OPTIONS':
        return
    }
    const headers = context['iopa.Headers']
    const site = headers.get('sec-fetch-site')
    const origin = headers.get('origin')
    // Browsers send one or both of them with every change; what sends neither holds no cookies of others.
    if (site === undefined && origin === undefined) return
    const single = headers.getAll('sec-fetch-site').length < 2 && headers.getAll('origin').length < 2
    if (single && (site === 'same-origin' || site === 'none')) return
    if (single && site === undefined && isOwn(context, origin as string)) return
    if (single && origin !== undefined && this.#trusted.has(origin)) return
    throw new IopaError(403, 'cross-site-request', 'A page of another origin may not ask for this change.')
  }
}

/** The scheme is not compared: a proxy may have taken TLS off. */
const isOwn = (context: Context, origin: string): boolean => {
  if (!/^https?:\/\//.test(origin) || !URL.canParse(origin)) return false
  const { hostname, port, origin: form } = new URL(origin)
  const own = context['iopa.Port'] === 80 || context['iopa.Port'] === 443 ? '' : String(context['iopa.Port'])
  return (
    form === origin &&
    hostname.replace(/^\[|\]$/g, '') === context['iopa.Host'].toLowerCase() &&
    (port === '80' || port === '443' ? '' : port) === own
  )
}
