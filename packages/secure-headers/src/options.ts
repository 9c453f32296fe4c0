import { checkOptions, optionError } from '@iopa/appbuilder/extension'
import type { PolicyDirectives } from './content-security-policy.ts'

/** Options of `secureHeaders()`. A text replaces the value of a field, false leaves the field out. */
export interface SecureHeadersOptions {
  /** Directives that replace defaults of the same name; false for no policy. */
  readonly contentSecurityPolicy?: PolicyDirectives | false
  /** A policy that browsers report on and do not enforce. */
  readonly contentSecurityPolicyReportOnly?: PolicyDirectives
  readonly crossOriginEmbedderPolicy?: string | false
  readonly crossOriginOpenerPolicy?: string | false
  readonly crossOriginResourcePolicy?: string | false
  readonly originAgentCluster?: string | false
  readonly permissionsPolicy?: string | false
  readonly referrerPolicy?: string | false
  /** Sent over TLS only (RFC 6797 section 7.2). */
  readonly strictTransportSecurity?: string | false
  readonly xContentTypeOptions?: string | false
  readonly xDnsPrefetchControl?: string | false
  readonly xFrameOptions?: string | false
  readonly xPermittedCrossDomainPolicies?: string | false
  readonly xXssProtection?: string | false
  /** `'refuse'` answers changes that a page of another origin asks for with 403; `'allow'` leaves them to the app. */
  readonly crossSite?: 'refuse' | 'allow'
  /** Other origins whose pages may ask for changes. */
  readonly trustedOrigins?: readonly string[]
}

/** The names of the options that are fields. */
export type FieldOption = Exclude<
  keyof SecureHeadersOptions,
  'contentSecurityPolicy' | 'contentSecurityPolicyReportOnly' | 'crossSite' | 'trustedOrigins'
>

/** The fields and their defaults. */
export const FIELDS: Readonly<Record<FieldOption, readonly [name: string, value: string | false]>> = {
  crossOriginEmbedderPolicy: ['cross-origin-embedder-policy', false],
  crossOriginOpenerPolicy: ['cross-origin-opener-policy', 'same-origin'],
  crossOriginResourcePolicy: ['cross-origin-resource-policy', 'same-origin'],
  originAgentCluster: ['origin-agent-cluster', '?1'],
  permissionsPolicy: ['permissions-policy', false],
  // Not no-referrer: with it a form of the own origin is sent with `Origin: null`, and older browsers send nothing else to tell it by.
  referrerPolicy: ['referrer-policy', 'same-origin'],
  strictTransportSecurity: ['strict-transport-security', 'max-age=31536000; includeSubDomains'],
  xContentTypeOptions: ['x-content-type-options', 'nosniff'],
  xDnsPrefetchControl: ['x-dns-prefetch-control', 'off'],
  // For browsers that do not know frame-ancestors.
  xFrameOptions: ['x-frame-options', 'SAMEORIGIN'],
  xPermittedCrossDomainPolicies: ['x-permitted-cross-domain-policies', 'none'],
  // The filter of old browsers could be used against pages.
  xXssProtection: ['x-xss-protection', '0']
}

const OPTIONS: Record<keyof SecureHeadersOptions, true> = {
  contentSecurityPolicy: true,
  contentSecurityPolicyReportOnly: true,
  ...(Object.fromEntries(Object.keys(FIELDS).map(name => [name, true])) as Record<FieldOption, true>),
  crossSite: true,
  trustedOrigins: true
}

const VALUE = /^[\x20-\x7e]+$/

/** @throws IopaError 500 that names the option. */
export const checkSecureHeadersOptions = (options: SecureHeadersOptions, caller: unknown): void => {
  checkOptions('secureHeaders()', options, OPTIONS, caller)
  for (const name of Object.keys(FIELDS) as FieldOption[]) {
    const value = options[name]
    if (value !== undefined && value !== false && !(typeof value === 'string' && VALUE.test(value)))
      throw optionError(`'${name}' of secureHeaders() is the value of the field as text, or false.`)
  }
  for (const name of ['contentSecurityPolicy', 'contentSecurityPolicyReportOnly'] as const) {
    const value: unknown = options[name]
    if (value === undefined || (value === false && name === 'contentSecurityPolicy')) continue
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw optionError(`'${name}' of secureHeaders() is an object of directives: { scriptSrc: ["'self'"] }.`)
  }
  if (options.crossSite !== undefined && options.crossSite !== 'refuse' && options.crossSite !== 'allow')
    throw optionError("'crossSite' of secureHeaders() is 'refuse' or 'allow'.")
  checkOrigins(options.trustedOrigins)
}

const checkOrigins = (origins: readonly string[] | undefined): void => {
  if (origins === undefined) return
  if (!Array.isArray(origins)) throw optionError("'trustedOrigins' of secureHeaders() is a list of origins.")
  for (const origin of origins)
    if (typeof origin !== 'string' || !/^https?:/.test(origin) || !URL.canParse(origin) || new URL(origin).origin !== origin)
      throw optionError(
        `'trustedOrigins' of secureHeaders() has ${JSON.stringify(origin)}: write origins as browsers send them, 'https://example.com'.`
      )
}
