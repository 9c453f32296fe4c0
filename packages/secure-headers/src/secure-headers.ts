import { randomBytes } from 'node:crypto'
import { type Context, defineMiddleware, type Next } from '@iopa/appbuilder'
import { type DefinedMiddleware, markFactory } from '@iopa/appbuilder/extension'
import { beforeSealing, HeaderMap, isHttp, RECORD, type RunContext } from '@iopa/context/host'
import { ContentSecurityPolicy } from './content-security-policy.ts'
import { CrossSite } from './cross-site.ts'
import { SECURE_HEADERS_KEYS } from './keys.ts'
import { checkSecureHeadersOptions, FIELDS, type FieldOption, type SecureHeadersOptions } from './options.ts'

/**
 * Sets header fields that make browsers careful in every answer over HTTP, and refuses changes that a page of another origin asks for. A field that a
 * handler sets itself wins.
 */
export const secureHeaders = (options: SecureHeadersOptions = {}): DefinedMiddleware<never, 'csp.Nonce'> => {
  checkSecureHeadersOptions(options, secureHeaders)
  const plain = new FieldSet(options, false)
  const secure = new FieldSet(options, true)
  const crossSite = options.crossSite === 'allow' ? undefined : new CrossSite(options.trustedOrigins ?? [])
  return defineMiddleware(
    // Representations do not depend on its fields; a nonce is of no use in an event, which has no policy of its own.
    { name: 'secure-headers', provides: ['csp.Nonce'], keys: SECURE_HEADERS_KEYS, neutral: true },
    (context, next) => {
      const scheme = context['iopa.Scheme']
      if (!isHttp(scheme) || context['server.IsNotification'] || context['server.IsPrecondition']) {
        context['csp.Nonce'] = ''
        return next()
      }
      return (scheme === 'https' ? secure : plain).handle(context, next, crossSite)
    }
  )
}

markFactory('secureHeaders', secureHeaders)

const POLICY = 'content-security-policy'
const REPORT = 'content-security-policy-report-only'

/** The fields for one scheme, made once. */
class FieldSet {
  readonly #fixed: HeaderMap
  readonly #pairs: readonly [name: string, value: string][]
  /** Those that have a nonce. */
  readonly #policies: readonly [name: string, policy: ContentSecurityPolicy][]

  constructor(options: SecureHeadersOptions, secure: boolean) {
    const { contentSecurityPolicy = {}, contentSecurityPolicyReportOnly } = options
    const pairs: [string, string][] = []
    for (const option of Object.keys(FIELDS) as FieldOption[]) {
      const [name, initial] = FIELDS[option]
      const value = options[option] ?? initial
      if (value !== false && (secure || option !== 'strictTransportSecurity')) pairs.push([name, value])
    }
    const policies: [string, ContentSecurityPolicy][] = []
    if (contentSecurityPolicy !== false) policies.push([POLICY, new ContentSecurityPolicy(contentSecurityPolicy, secure)])
    if (contentSecurityPolicyReportOnly !== undefined) policies.push([REPORT, new ContentSecurityPolicy(contentSecurityPolicyReportOnly, secure)])
    for (const [name, policy] of policies) if (!policy.hasNonce) pairs.push([name, policy.text('')])
    this.#policies = policies.filter(([, policy]) => policy.hasNonce)
    this.#pairs = pairs
    this.#fixed = HeaderMap.from(pairs)
  }

  handle(context: Context, next: Next, crossSite: CrossSite | undefined): unknown {
    const { response } = context
    // All at once, without a copy, where nothing has been set yet.
    if ((response.headers as HeaderMap).size === 0) response.headers = this.#fixed
    else for (const [name, value] of this.#pairs) if (!response.headers.has(name)) response.headers.set(name, value)
    if (this.#policies.length === 0) context['csp.Nonce'] = ''
    else this.#addNonce(context)
    crossSite?.check(context)
    return next()
  }

  #addNonce(context: Context): void {
    const { response } = context
    const nonce = randomBytes(16).toString('base64')
    context['csp.Nonce'] = nonce
    beforeSealing((context as RunContext)[RECORD], () => {
      // The page that the browser has kept has the nonce, and the policy, of its own answer.
      if (response.status === 304) return
      for (const [name, policy] of this.#policies) if (!response.headers.has(name)) response.headers.set(name, policy.text(nonce))
    })
  }
}
